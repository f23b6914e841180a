export interface HandClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves when the clock has been turned that far; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs once the clock has been turned that far; the returned function calls it off. */
  later(ms: number, run: () => void): () => void;
  /** Runs at the end of the real event-loop turn; with `later` this is what `gatherCalls` takes as `defer`. */
  soon(run: () => void): void;
  /** Turns the clock, stopping at each thing that comes due in between until what it set off has settled. */
  advance(ms: number): Promise<void>;
  /** How many things wait for the clock. */
  waiting(): number;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that stands still until it is turned. */
export function handClock(startMs = Date.parse("2026-01-01T00:00:00Z")): HandClock {
  let now = startMs;
  let order = 0;
  const timers = new Set<Timer>();

  const later = (ms: number, run: () => void): (() => void) => {
    const timer: Timer = { at: now + Math.max(0, ms), order: order++, run };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  const firstUntil = (end: number): Timer | undefined => {
    let first: Timer | undefined;
    for (const one of timers) {
      if (one.at <= end && (!first || one.at < first.at || (one.at === first.at && one.order < first.order))) first = one;
    }
    return first;
  };

  return {
    now: () => now,
    later,
    soon: (run) => void setImmediate(run),
    waiting: () => timers.size,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = (): void => {
          off();
          reject(signal?.reason);
        };
        const off = later(ms, () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        });
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    async advance(ms) {
      const end = now + ms;
      await settled();
      for (let next = firstUntil(end); next; next = firstUntil(end)) {
        now = Math.max(now, next.at);
        timers.delete(next);
        next.run();
        await settled();
      }
      now = end;
    },
  };
}

/** Two turns of the real event loop: promises, and what they put off to the next turn. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}
