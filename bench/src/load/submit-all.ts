import type { Dispatcher, Pool } from "undici";

export interface Submitted {
  /** In the order of sending; the i-th carried the body `i % bodies.length`. */
  readonly ids: readonly string[];
  /** Sorted milliseconds. */
  readonly latencies: Float64Array;
  readonly startedAt: number;
  readonly elapsedMs: number;
}

/** Answers start with the id, which is all that is read of them while the clock runs. */
const idFrom = '{"id":"'.length;
const idTo = idFrom + 36;

/**
 * Closed loop: `inFlight` submits are under way until `count` are answered. Uses the pool's handlers rather than promises and streams per
 * request, because the generator shares the machine with what it measures. Rejects when one is not accepted.
 */
export function submitAll(pool: Pool, bodies: readonly Buffer[], count: number, inFlight: number): Promise<Submitted> {
  return new Promise((resolve, reject) => {
    const ids = new Array<string>(count).fill("");
    const latencies = new Float64Array(count);
    const startedAt = Date.now();
    const start = performance.now();
    let sent = 0;
    let answered = 0;
    let failed = false;

    const fail = (why: Error): void => {
      failed = true;
      reject(why);
    };

    function next(): void {
      if (sent === count || failed) return;
      const number = sent++;
      const sentAt = performance.now();
      let status = 0;
      let text = "";
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData(_controller, chunk) {
          if (text.length < idTo || status !== 202) text += chunk.toString("latin1", 0, status === 202 ? idTo : chunk.length);
        },
        onResponseEnd() {
          latencies[number] = performance.now() - sentAt;
          if (status !== 202) return fail(new Error(`a submit was answered ${status}: ${text}`));
          ids[number] = text.slice(idFrom, idTo);
          answered++;
          if (answered < count) return next();
          resolve({ ids, latencies: latencies.sort(), startedAt, elapsedMs: performance.now() - start });
        },
        onResponseError(_controller, why) {
          fail(why);
        },
      };
      const body = bodies[number % bodies.length] ?? Buffer.alloc(0);
      pool.dispatch({ method: "POST", path: "/v1/tasks", headers: jsonHeaders, body }, handler);
    }
    for (let i = 0; i < Math.min(inFlight, count); i++) next();
  });
}

export const jsonHeaders = { "content-type": "application/json" };
