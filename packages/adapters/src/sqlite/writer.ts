import { type Defer, gatherCalls, LonghaulError } from "@longhaul/core";
import type { CommitGroup, WriteCall, WriteOutcome, WriteTable } from "./commit-group.ts";
import type { Procedures } from "./procedures.ts";
import { asStoreError } from "./store-error.ts";

interface WriteItem<P> extends WriteCall<P> {
  readonly bytes: number;
  /** Called once the commit is on disk, before anybody is told. */
  readonly committed: ((result: never) => void) | undefined;
}

/** Commits what callers want to write, many callers at a time. */
export interface Writer<P extends WriteTable<P> = Procedures> {
  /**
   * Runs a procedure inside a transaction; resolves with its result once that is on disk. `bytes` is roughly what it writes.
   * `committed` hears of the result before anybody is told.
   */
  write<K extends keyof P>(
    bytes: number,
    name: K,
    argument: Parameters<P[K]>[0],
    committed?: (result: ReturnType<P[K]>) => void,
  ): Promise<ReturnType<P[K]>>;
  /** Refuses further writes and resolves when those under way are on disk or refused. */
  close(): Promise<void>;
}

/** Where groups are committed. */
export interface Committer<P> {
  readonly commit: (calls: readonly WriteCall<P>[]) => Promise<readonly WriteOutcome[]>;
  /** The most groups under way. */
  readonly maxUnderWay: number;
  /** Turns of the event loop that a group waits for company. */
  readonly settleTurns: number;
  close(): Promise<void>;
}

/** Commits on this very thread: for ":memory:", which no other connection can see. */
export function inlineCommitter<P>(commit: CommitGroup<P>): Committer<P> {
  // The call is synchronous, so there is never a second one under way.
  return { commit: (calls) => Promise.resolve(commit(calls)), maxUnderWay: 1, settleTurns: 4, close: async () => {} };
}

/** Gathers writes into groups. `onCommit` hears of the bytes of those that are on disk. */
export function sqliteWriter<P extends WriteTable<P>>(committer: Committer<P>, onCommit: (bytes: number) => void): Writer<P> {
  let closed = false;
  let open = 0;
  let drained: (() => void) | undefined;

  const gathered = gatherCalls<WriteItem<P>, WriteOutcome>(commitAll, {
    sizeOf: (item) => item.bytes,
    maxUnderWay: committer.maxUnderWay,
    minWhileBusy: 1,
    defer: { soon: afterTurns(committer.settleTurns), later: (ms, run) => cancellable(setTimeout(run, ms)) },
  });

  async function commitAll(items: readonly WriteItem<P>[]): Promise<readonly WriteOutcome[]> {
    const outcomes = await committer.commit(items.map(({ name, argument }) => ({ name, argument })));
    let bytes = 0;
    for (let at = 0; at < items.length; at++) {
      const [item, outcome] = [items[at], outcomes[at]];
      if (!item || !outcome?.ok) continue;
      bytes += item.bytes;
      // It is the value that this very item's procedure returned.
      item.committed?.(outcome.value as never);
    }
    if (bytes > 0) onCommit(bytes);
    return outcomes;
  }

  return {
    write: async (bytes, name, argument, committed) => {
      if (closed) throw new LonghaulError("unavailable", "The database is closed.");
      open++;
      try {
        const outcome = await gathered({ bytes, name, argument, committed });
        if (!outcome.ok) throw asStoreError(outcome.error);
        // It is the value that this very item's procedure returned.
        return outcome.value as never;
      } finally {
        open--;
        if (open === 0) drained?.();
      }
    },
    close: async () => {
      closed = true;
      if (open > 0) {
        await new Promise<void>((resolve) => {
          drained = resolve;
        });
      }
      await committer.close();
    },
  };
}

/**
 * A few turns of the event loop later. A commit costs as much as ten tasks' statements, and under load each turn brings more of them:
 * new submits, claims and reports then share one commit. On an idle process the turns take some tens of microseconds.
 */
function afterTurns(turns: number): Defer["soon"] {
  return (run) => {
    let left = turns;
    const turn = (): void => {
      left--;
      if (left > 0) setImmediate(turn);
      else run();
    };
    setImmediate(turn);
  };
}

function cancellable(timer: NodeJS.Timeout): () => void {
  return () => clearTimeout(timer);
}
