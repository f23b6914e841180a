import { LonghaulError, partitionCount, type Stored, type TaskStore, wakeAt } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import type { Entry, Ledger } from "../ledger/ledger.ts";
import type { Dispatcher } from "./dispatcher.ts";

/** Looks at every task whose time has come. One index, one loop; what is due is decided by the core. */
export interface Sweeper {
  start(): void;
  stop(): Promise<void>;
  /** Some task will be due at this time. */
  note(partition: number, at: number): void;
  /** The partitions to look after, from now on. */
  own(partitions: ReadonlySet<number>): void;
  /** Looks now, also at what is due only within `aheadMs` and matches; for tickets that were lost. */
  lookAgain(aheadMs: number): Promise<void>;
}

const batch = 256;
/** A row that can't be handled is looked at again after this long, doubled with each failure. */
const firstPauseMs = 1_000;
const longestPauseMs = 300_000;
/** Rows that fail at the same time beyond this many are simply tried again each time. */
const maxPaused = 10_000;

export function sweeper(deps: {
  readonly store: TaskStore;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly log: Logger;
  readonly now: () => number;
  /** The longest pause between two looks; the net behind the bells. */
  readonly sweepMs: number;
}): Sweeper {
  const { store, dispatcher, log, now } = deps;
  let owned: readonly number[] = [];
  const isOwned = new Array<boolean>(partitionCount).fill(false);
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = true;
  const paused = new Map<string, { readonly until: number; readonly failures: number }>();

  function plan(at: number): void {
    if (stopped) return;
    const wanted = Math.max(now(), at);
    if (timer !== undefined && timerAt <= wanted) return;
    if (timer !== undefined) clearTimeout(timer);
    timerAt = wanted;
    timer = setTimeout(() => {
      timer = undefined;
      timerAt = Number.POSITIVE_INFINITY;
      look();
    }, wanted - now());
  }

  function look(): void {
    if (running !== undefined) {
      again = true;
      return;
    }
    running = sweep()
      .catch((why: unknown) => log.warn({ err: why }, "what is due could not be read; trying again"))
      .then(async () => {
        const next = await store.nextDue(owned).catch(() => undefined);
        running = undefined;
        const soon = again ? now() : Math.min(next ?? Number.POSITIVE_INFINITY, now() + deps.sweepMs);
        again = false;
        // A row that keeps failing is due all the time: never look more often than every 20 ms for it.
        plan(Math.max(soon, paused.size > 0 ? now() + 20 : 0));
      });
  }

  async function sweep(): Promise<void> {
    let after: { readonly wakeAt: number; readonly id: string } | undefined;
    while (owned.length > 0) {
      const due: readonly Stored[] = await store.listDue(owned, now(), batch, after);
      await wake(due.filter(({ task }) => (paused.get(task.id)?.until ?? 0) <= now()));
      const last = due.at(-1);
      if (last === undefined || due.length < batch) return;
      after = { wakeAt: wakeAt(last.task) ?? 0, id: last.task.id };
    }
  }

  async function wake(due: readonly Stored[]): Promise<void> {
    if (due.length === 0) return;
    const reserved = new Map<string, number>();
    const entries = due.map(({ task }): Entry => {
      const room =
        task.state !== "running" && task.state !== "waiting" && task.state !== "queued"
          ? false
          : dispatcher.reserve(task.partition);
      if (room) reserved.set(task.id, task.partition);
      return { key: { project: task.project, id: task.id }, event: { kind: "wake", room } };
    });
    try {
      await wakeTogether(entries, reserved);
      if (paused.size > 0) for (const { key } of entries) paused.delete(key.id);
    } catch (why) {
      if (why instanceof LonghaulError && why.code === "unavailable") throw why;
      // Some row spoils the group: take them one by one, so that it moves on alone.
      for (const entry of entries)
        await wakeTogether([entry], reserved).then(
          () => paused.delete(entry.key.id),
          (fault) => setAside(entry, fault),
        );
    }
  }

  async function wakeTogether(entries: readonly Entry[], reserved: Map<string, number>): Promise<void> {
    const outcomes = await deps.ledger.apply(entries);
    outcomes.forEach((outcome, i) => {
      const id = entries[i]?.key.id ?? "";
      const partition = reserved.get(id);
      if (partition === undefined) return;
      reserved.delete(id);
      // Room that led to no new ticket goes back: the task ended, waits on, or had its ticket counted before.
      const used =
        outcome.kind === "changed" &&
        outcome.task.state === "queued" &&
        outcome.task.queueing.kind === "ticketed" &&
        !(outcome.before.state === "queued" && outcome.before.queueing.kind === "ticketed");
      if (!used) dispatcher.unreserve(partition);
    });
  }

  function setAside(entry: Entry, why: unknown): void {
    const failures = (paused.get(entry.key.id)?.failures ?? 0) + 1;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1));
    if (paused.size < maxPaused) paused.set(entry.key.id, { until: now() + pauseMs, failures });
    log.error({ taskId: entry.key.id, failures, pauseMs, err: why }, "a due task could not be handled and was set aside");
  }

  return {
    start() {
      stopped = false;
      plan(0);
    },
    async stop() {
      stopped = true;
      if (timer !== undefined) clearTimeout(timer);
      timer = undefined;
      await running;
    },
    note(partition, at) {
      if (isOwned[partition] === true && at < timerAt) plan(at);
    },
    own(partitions) {
      owned = [...partitions];
      isOwned.forEach((_, partition) => {
        isOwned[partition] = partitions.has(partition);
      });
      plan(0);
    },
    async lookAgain(aheadMs) {
      let after: { readonly wakeAt: number; readonly id: string } | undefined;
      while (owned.length > 0) {
        const soon: readonly Stored[] = await store.listDue(owned, now() + aheadMs, batch, after);
        const tickets = soon.filter(({ task }) => task.state === "queued" && task.queueing.kind === "ticketed");
        for (const { task } of tickets) {
          dispatcher.publish(task.partition, [
            { project: task.project, taskId: task.id, attempt: task.attempt, alone: task.alone },
          ]);
        }
        const last = soon.at(-1);
        if (last === undefined || soon.length < batch) return;
        after = { wakeAt: wakeAt(last.task) ?? 0, id: last.task.id };
      }
    },
  };
}
