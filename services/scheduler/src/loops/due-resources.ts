import { LonghaulError, partitionCount, type ResourceKind, type ResourceStore, type StoredResource } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";

/** Looks after resources of one kind whose time has come. One index, one timer; a look is the net behind it. */
export interface DueResources {
  start(): void;
  stop(): Promise<void>;
  /** Some resource will be due at this time. */
  note(partition: number, at: number): void;
  /** The partitions to look after, from now on. */
  own(partitions: ReadonlySet<number>): void;
}

const batch = 100;
/** One that can't be handled is left alone for this long, doubled with each failure. */
const firstPauseMs = 1_000;
const longestPauseMs = 300_000;
const shortestPauseMs = 20;

export function dueResources(deps: {
  readonly kind: ResourceKind;
  readonly store: Pick<ResourceStore, "listDue" | "nextDue">;
  /** Handles one that is due, so that it is due no more or later. */
  readonly handle: (stored: StoredResource) => Promise<void>;
  readonly now: () => number;
  /** The longest pause between two looks. */
  readonly lookMs: number;
  readonly log: Logger;
}): DueResources {
  const { kind, store, now, log } = deps;
  let owned: readonly number[] = [];
  const isOwned = new Array<boolean>(partitionCount).fill(false);
  const paused = new Map<string, { readonly until: number; readonly failures: number }>();
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | undefined;
  let stopped = true;

  function plan(at: number): void {
    if (stopped || running !== undefined) {
      wantedAt = Math.min(wantedAt, at);
      return;
    }
    const wanted = Math.max(now(), at);
    if (timer !== undefined && timerAt <= wanted) return;
    clearTimeout(timer);
    timerAt = wanted;
    // A timer of Node's can't be longer than 24 days, and lookMs is far less.
    timer = setTimeout(look, Math.min(deps.lookMs, wanted - now()));
  }
  let wantedAt = Number.POSITIVE_INFINITY;

  function look(): void {
    timer = undefined;
    timerAt = Number.POSITIVE_INFINITY;
    wantedAt = Number.POSITIVE_INFINITY;
    running = sweep()
      .catch((why: unknown) => log.warn({ kind, err: why }, "what is due could not be read; trying again"))
      .then(async () => {
        const next = owned.length === 0 ? undefined : await store.nextDue(kind, owned).catch(() => undefined);
        running = undefined;
        const soon = Math.min(next ?? Number.POSITIVE_INFINITY, wantedAt, now() + deps.lookMs);
        wantedAt = Number.POSITIVE_INFINITY;
        plan(Math.max(soon, now() + (paused.size > 0 ? firstPauseMs : shortestPauseMs)));
      });
  }

  async function sweep(): Promise<void> {
    const due = owned.length === 0 ? [] : await store.listDue(kind, owned, now(), batch);
    for (const stored of due) {
      const { project, name } = stored.resource;
      const key = `${project}/${name}`;
      const pause = paused.get(key);
      if (stopped) return;
      if (pause !== undefined && pause.until > now()) continue;
      try {
        await deps.handle(stored);
        paused.delete(key);
      } catch (why) {
        if (why instanceof LonghaulError && why.code === "unavailable") throw why;
        const failures = (pause?.failures ?? 0) + 1;
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1));
        paused.set(key, { until: now() + pauseMs, failures });
        log.error({ kind, project, name, failures, pauseMs, err: why }, "a due resource could not be handled and was set aside");
      }
    }
  }

  return {
    start() {
      stopped = false;
      plan(0);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      timer = undefined;
      await running;
      clearTimeout(timer);
    },
    note(partition, at) {
      if (isOwned[partition] === true) plan(at);
    },
    own(partitions) {
      owned = [...partitions];
      isOwned.forEach((_, partition) => {
        isOwned[partition] = partitions.has(partition);
      });
      plan(0);
    },
  };
}
