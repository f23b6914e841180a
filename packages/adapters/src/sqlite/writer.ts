import { gatherCalls, LonghaulError } from "@longhaul/core";
import type { Connection } from "./connection.ts";
import { asStoreError, isOutage } from "./store-error.ts";

/** One caller's write: what it does inside the transaction that it shares with others. */
interface WriteItem {
  readonly bytes: number;
  /** Synchronous; may run twice when a neighbour's failure rolls the first transaction back. */
  readonly apply: () => unknown;
  /** Called once the commit is on disk, before anybody is told. */
  readonly committed: ((result: never) => void) | undefined;
}

type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

/** Commits what callers want to write, many callers at a time. */
export interface Writer {
  /** Runs `apply` inside a transaction; resolves with its result once that is on disk. `bytes` is roughly what it writes. */
  write<T>(bytes: number, apply: () => T, committed?: (result: T) => void): Promise<T>;
  /** Refuses further writes and resolves when those under way are on disk or refused. */
  close(): Promise<void>;
}

/** The group commit of SQLite: whatever waits at the end of a turn is one transaction, hence one fsync. */
export function sqliteWriter(db: Connection, onCommit: (bytes: number) => void): Writer {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  let closed = false;
  let open = 0;
  let drained: (() => void) | undefined;

  const gathered = gatherCalls<WriteItem, Outcome>((items) => Promise.resolve(commitTogether(items)), {
    sizeOf: (item) => item.bytes,
    // The call below is synchronous, so there is never a second one under way.
    maxUnderWay: 1,
    minWhileBusy: 1,
    defer: { soon: afterTurns, later: (ms, run) => cancellable(setTimeout(run, ms)) },
  });

  function commitTogether(items: readonly WriteItem[]): Outcome[] {
    let values: unknown[];
    try {
      begin.run([]);
      values = items.map((item) => item.apply());
      commit.run([]);
    } catch (error) {
      if (db.inTransaction()) db.exec("ROLLBACK");
      if (isOutage(error) || items.length === 1) return items.map(() => ({ ok: false, error }));
      return commitApart(items);
    }
    onCommit(items.reduce((sum, item) => sum + item.bytes, 0));
    return items.map((item, at) => {
      const value = values[at];
      tell(item, value);
      return { ok: true, value };
    });
  }

  /** After one of several failed: each behind a savepoint of its own, so that only the culprit fails. */
  function commitApart(items: readonly WriteItem[]): Outcome[] {
    try {
      begin.run([]);
      const outcomes = items.map((item): Outcome => {
        db.exec("SAVEPOINT one");
        try {
          const value = item.apply();
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
      onCommit(items.reduce((sum, item) => sum + item.bytes, 0));
      outcomes.forEach((outcome, at) => {
        const item = items[at];
        if (outcome.ok && item) tell(item, outcome.value);
      });
      return outcomes;
    } catch (error) {
      if (db.inTransaction()) db.exec("ROLLBACK");
      return items.map(() => ({ ok: false, error }));
    }
  }

  async function write<T>(bytes: number, apply: () => T, committed?: (result: T) => void): Promise<T> {
    if (closed) throw new LonghaulError("unavailable", "The database is closed.");
    open++;
    try {
      const outcome = await gathered({ bytes, apply, committed });
      if (!outcome.ok) throw asStoreError(outcome.error);
      // It is the value that this very item's `apply` returned.
      return outcome.value as T;
    } finally {
      open--;
      if (open === 0) drained?.();
    }
  }

  return {
    write,
    close: async () => {
      closed = true;
      if (open === 0) return;
      await new Promise<void>((resolve) => {
        drained = resolve;
      });
    },
  };
}

/**
 * A few turns of the event loop later. A commit costs as much as ten tasks' statements, and under load each turn brings more of them:
 * new submits, claims and reports then share one commit. On an idle process the turns take some tens of microseconds.
 */
function afterTurns(run: () => void): void {
  let left = settleTurns;
  const turn = (): void => {
    left--;
    if (left > 0) setImmediate(turn);
    else run();
  };
  setImmediate(turn);
}

const settleTurns = 4;

function cancellable(timer: NodeJS.Timeout): () => void {
  return () => clearTimeout(timer);
}

function tell(item: WriteItem, value: unknown): void {
  // It is the value that this very item's `apply` returned.
  item.committed?.(value as never);
}
