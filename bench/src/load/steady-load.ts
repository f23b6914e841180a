import type { Pool } from "undici";
import { quantile } from "../report/stats.ts";
import type { SteadyAnswer } from "./load-calls.ts";
import { jsonHeaders } from "./submit-all.ts";

/**
 * Open loop: one submit every so often, whether earlier ones are answered or not, each with `Prefer: wait=10`, so that its answer is the
 * ended task and its time the whole way through. Rejects when one does not succeed within that time.
 */
export async function steadyLoad(pool: Pool, bodies: readonly Buffer[], count: number, perSecond: number): Promise<SteadyAnswer> {
  const times: Promise<number>[] = [];
  let worstLagMs = 0;
  const start = performance.now() + 100;
  for (let i = 0; i < count; i++) {
    const due = start + (i * 1_000) / perSecond;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    worstLagMs = Math.max(worstLagMs, performance.now() - due);
    const time = submitAndWait(pool, bodies[i % bodies.length] ?? Buffer.alloc(0));
    // Looked at below, after all are sent.
    time.catch(() => {});
    times.push(time);
  }
  const sorted = Float64Array.from(await Promise.all(times)).sort();
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99), maxMs: quantile(sorted, 1), worstLagMs };
}

const headers = { ...jsonHeaders, prefer: "wait=10" };

async function submitAndWait(pool: Pool, body: Buffer): Promise<number> {
  const sentAt = performance.now();
  const answer = await pool.request({ method: "POST", path: "/v1/tasks", headers, body });
  const text = await answer.body.text();
  const ms = performance.now() - sentAt;
  if (answer.statusCode !== 200 || !text.includes('"state":"succeeded"')) {
    throw new Error(`a task did not succeed within 10 s (${answer.statusCode}): ${text.slice(0, 500)}`);
  }
  return ms;
}
