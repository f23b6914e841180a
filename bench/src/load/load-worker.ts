// The load generator: a process of its own, so that what it costs is told apart from what it measures.
import { Pool } from "undici";
import { serveWorker } from "../process/worker.ts";
import { quantile } from "../report/stats.ts";
import { definitionOf, texts, type WorkflowName, workflowNames } from "../workload.ts";
import type { LoadCalls } from "./load-calls.ts";
import { steadyLoad } from "./steady-load.ts";
import { submitAll } from "./submit-all.ts";
import { awaitEnd, putWorkflow, verifyAll } from "./task-api.ts";

const pools = new Map<string, Pool>();
let last: { readonly ids: readonly string[]; readonly startedAt: number } = { ids: [], startedAt: 0 };

function poolOf(base: string, connections = 64): Pool {
  let pool = pools.get(base);
  if (pool === undefined) {
    pool = new Pool(base, { connections, pipelining: 1, headersTimeout: 120_000, bodyTimeout: 120_000 });
    pools.set(base, pool);
  }
  return pool;
}

function bodiesOf(workflow: WorkflowName): readonly Buffer[] {
  return texts.map((text) => Buffer.from(JSON.stringify({ workflow, input: { text } })));
}

serveWorker<LoadCalls>({
  async define({ base }) {
    for (const name of workflowNames) await putWorkflow(poolOf(base), name, definitionOf(name));
    return null;
  },
  async run({ base, workflow, tasks, inFlight, ends }) {
    const cpu = process.cpuUsage();
    const done = await submitAll(poolOf(base, inFlight), bodiesOf(workflow), tasks, inFlight);
    const { user, system } = process.cpuUsage(cpu);
    last = done;
    if (ends) await awaitEnd(poolOf(base), done.ids.at(-1) ?? "");
    return {
      acceptedPerSecond: (tasks / done.elapsedMs) * 1_000,
      submitP50Ms: quantile(done.latencies, 0.5),
      submitP99Ms: quantile(done.latencies, 0.99),
      startedAt: done.startedAt,
      loadCpuMs: (user + system) / 1_000,
      elapsedMs: done.elapsedMs,
    };
  },
  async verify({ base }) {
    const lastEnd = await verifyAll(poolOf(base), last.ids);
    return { completedPerSecond: (last.ids.length / Math.max(1, lastEnd - last.startedAt)) * 1_000, verified: last.ids.length };
  },
  steady({ base, workflow, perSecond, count }) {
    return steadyLoad(poolOf(base), bodiesOf(workflow), count, perSecond);
  },
});
