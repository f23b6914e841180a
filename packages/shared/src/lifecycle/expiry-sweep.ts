import type { ExpiredStore } from "@longhaul/core";
import type { Logger } from "../log/logger.ts";

/** Removes what was kept long enough, a little at a time. Any number of them may run on one store. */
export interface ExpirySweep {
  /** Looks at once, and from then on whenever something expires. */
  start(): void;
  /** Begins nothing more, until the next start. */
  pause(): void;
  /** As `pause`; resolves when what was under way has ended. */
  stop(): Promise<void>;
  /** Resolves, with whether it had to wait, when no look is under way. */
  idle(): Promise<boolean>;
}

export interface ExpirySweepDeps {
  readonly store: ExpiredStore;
  /** How long it is kept after it was settled. */
  readonly retentionMs: number;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  /** For the log: `tasks`. */
  readonly what: string;
  /** Runs after so many milliseconds; the returned function calls it off. The process's own timers by default. */
  readonly later?: (ms: number, run: () => void) => () => void;
  readonly batch?: number;
}

/** Rests so many times as long as it worked, so it never takes more than a fifth of what everybody else needs. */
const restFactor = 4;
const shortestRestMs = 20;
/** What expires within this is removed together; with a short retention a tenth of that. */
const togetherMs = 60_000;
const longestIdleMs = 3_600_000;
const firstPauseMs = 1_000;
const longestPauseMs = 300_000;

export function expirySweep(deps: ExpirySweepDeps): ExpirySweep {
  const { store, retentionMs, now, log, what, later = processTimer, batch = 256 } = deps;
  const idleMs = Math.min(togetherMs, Math.max(shortestRestMs, retentionMs / 10));
  let isOn = false;
  let cancel: (() => void) | undefined;
  let underWay: Promise<void> | undefined;
  let failures = 0;
  let removedInRow = 0;

  function plan(ms: number): void {
    cancel?.();
    cancel = later(ms, () => {
      cancel = undefined;
      underWay = look().then((pauseMs) => {
        underWay = undefined;
        if (isOn) plan(pauseMs);
      });
    });
  }

  /** Removes one batch; answers how long to rest. */
  async function look(): Promise<number> {
    const begun = performance.now();
    try {
      const expired = await store.listExpired(now() - retentionMs, batch);
      const removed = expired.length === 0 ? 0 : await store.remove(expired);
      failures = 0;
      removedInRow += removed;
      // When nothing could be removed, somebody else is at it, or it takes longer than one look.
      if (expired.length > 0 && removed > 0) return Math.max(shortestRestMs, restFactor * (performance.now() - begun));
      if (removedInRow > 0) log.info({ [what]: removedInRow, retentionMs }, `expired ${what} removed`);
      removedInRow = 0;
      return expired.length > 0 ? idleMs : await untilNext();
    } catch (err) {
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures);
      failures = Math.min(failures + 1, 30);
      log.warn({ err, againMs: pauseMs }, `expired ${what} not removed; trying again`);
      return pauseMs;
    }
  }

  /** The earliest of all expires next. What is settled long after it ended may be due sooner, and waits for the next look. */
  async function untilNext(): Promise<number> {
    const [next] = await store.listExpired(Number.MAX_SAFE_INTEGER, 1);
    const dueMs = next === undefined ? retentionMs : next.settledAt + retentionMs - now();
    return Math.min(longestIdleMs, Math.max(idleMs, dueMs));
  }

  function pause(): void {
    isOn = false;
    cancel?.();
    cancel = undefined;
  }

  return {
    start() {
      if (isOn) return;
      isOn = true;
      if (underWay === undefined) plan(0);
    },
    pause,
    async stop() {
      pause();
      await underWay;
    },
    async idle() {
      if (underWay === undefined) return false;
      while (underWay !== undefined) await underWay;
      return true;
    },
  };
}

function processTimer(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  timer.unref();
  return () => clearTimeout(timer);
}
