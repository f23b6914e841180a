import type { Connection } from "./connection.ts";
import { isOutage } from "./store-error.ts";

/** Named writes: one argument in, one value out. */
export type WriteTable<P> = { readonly [K in keyof P]: (argument: never) => unknown };

/** One caller's write: which procedure, with what. */
export interface WriteCall<P> {
  readonly name: keyof P;
  readonly argument: unknown;
}

export type WriteOutcome =
  | { readonly ok: true; readonly value: unknown }
  /** What SQLite threw, or something that says the same. */
  | { readonly ok: false; readonly error: unknown };

/** Commits a group of writes with one fsync; outcomes in their order, each on disk when it is answered. */
export type CommitGroup<P> = (calls: readonly WriteCall<P>[]) => WriteOutcome[];

/** The group commit of SQLite: one transaction for all; where one of them fails, each behind a savepoint of its own. */
export function commitGroup<P extends WriteTable<P>>(db: Connection, procedures: P): CommitGroup<P> {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  // Whoever makes a WriteCall has checked the argument against the procedure.
  const apply = ({ name, argument }: WriteCall<P>): unknown => procedures[name](argument as never);

  /** After one of several failed: so that only the culprit fails. */
  function commitApart(calls: readonly WriteCall<P>[]): WriteOutcome[] {
    try {
      begin.run([]);
      const outcomes = calls.map((call): WriteOutcome => {
        db.exec("SAVEPOINT one");
        try {
          const value = apply(call);
          db.exec("RELEASE one");
          return { ok: true, value };
        } catch (error) {
          if (isOutage(error) || !db.inTransaction()) throw error;
          db.exec("ROLLBACK TO one");
          db.exec("RELEASE one");
          return { ok: false, error };
        }
      });
      commit.run([]);
      return outcomes;
    } catch (error) {
      if (db.inTransaction()) db.exec("ROLLBACK");
      return calls.map(() => ({ ok: false, error }));
    }
  }

  return (calls) => {
    try {
      begin.run([]);
      const outcomes = calls.map((call) => ({ ok: true, value: apply(call) }) as const);
      commit.run([]);
      return outcomes;
    } catch (error) {
      if (db.inTransaction()) db.exec("ROLLBACK");
      return isOutage(error) || calls.length === 1 ? calls.map(() => ({ ok: false, error })) : commitApart(calls);
    }
  };
}
