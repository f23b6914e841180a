/** Time as the notifier sees it; tests turn theirs by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs after `ms` milliseconds; the returned function calls it off. */
  later(ms: number, run: () => void): () => void;
}

// Timers of more than 2^31 - 1 ms fire at once; every timer here is only a wake-up that looks at the clock again.
const longestTimerMs = 2_147_483_647;

/** The process's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  later: (ms, run) => {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), longestTimerMs));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or when `signal` aborts. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = clock.later(ms, finish);
    signal.addEventListener("abort", finish, { once: true });
  });
}
