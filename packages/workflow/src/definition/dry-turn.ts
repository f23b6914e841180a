/** Most time, in ms, that a dry run keeps the event loop for itself. */
const turnMs = 4;

/** Thrown when the time of a dry run is up. */
export class TimeIsUp extends Error {
  override readonly name = "TimeIsUp";
}

/** Shares the event loop with everybody else, and ends the work when its time is up. */
export interface Turn {
  /** Resolves when it is this work's turn; rejects with TimeIsUp. */
  take(): Promise<void>;
  /** What is left, in ms. */
  leftMs(): number;
}

/** `clock` is a monotonic clock in ms. */
export function sharedTurn(timeoutMs: number, clock: () => number): Turn {
  const endMs = clock() + timeoutMs;
  let sinceMs = clock();
  return {
    leftMs: () => Math.max(0, endMs - clock()),
    async take() {
      if (clock() - sinceMs >= turnMs) {
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
        sinceMs = clock();
      }
      if (clock() >= endMs) throw new TimeIsUp("the time of the dry run is up");
    },
  };
}
