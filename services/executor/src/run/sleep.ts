/** A timer of Node can't be longer; nothing runs that long in one attempt. */
const longestTimerMs = 2_147_483_647;

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(
      () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      },
      Math.min(ms, longestTimerMs),
    );
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
