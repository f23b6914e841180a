// The load generator of the engine's workloads: a process of its own, as load-worker is.
import { Pool } from "undici";
import { type EngineWorkload, engineDefinitionOf } from "../engine-workload.ts";
import { serveWorker } from "../process/worker.ts";
import { quantile } from "../report/stats.ts";
import { texts } from "../workload.ts";
import type { EngineCalls } from "./engine-calls.ts";
import { runLists } from "./run-lists.ts";
import { submitAll } from "./submit-all.ts";
import { awaitEnd, putWorkflow, verifyAll } from "./task-api.ts";
import { latenessOf, untilAllWait } from "./waiting-tasks.ts";

const pools = new Map<string, Pool>();
let timers: readonly { readonly id: string; readonly dueAt: number }[] = [];

function poolOf(base: string): Pool {
  let pool = pools.get(base);
  if (pool === undefined) {
    pool = new Pool(base, { connections: 64, pipelining: 1, headersTimeout: 120_000, bodyTimeout: 120_000 });
    pools.set(base, pool);
  }
  return pool;
}

function bodyOf(workflow: EngineWorkload, input: object): Buffer {
  return Buffer.from(JSON.stringify({ workflow, input }));
}

serveWorker<EngineCalls>({
  async define({ base, workload }) {
    await putWorkflow(poolOf(base), workload, engineDefinitionOf(workload));
    return null;
  },
  lists({ base, tasks, items }) {
    return runLists(poolOf(base), tasks, items);
  },
  async code({ base, tasks, inFlight }) {
    const pool = poolOf(base);
    const bodies = texts.map((text) => bodyOf("code", { text }));
    const { ids, startedAt } = await submitAll(pool, bodies, tasks, inFlight);
    await awaitEnd(pool, ids.at(-1) ?? "");
    const lastEnd = await verifyAll(pool, ids);
    return { tasksPerSecond: (tasks / Math.max(1, lastEnd - startedAt)) * 1_000 };
  },
  async wait({ base, tasks, inFlight, leadMs, perSecond }) {
    const startedAt = Date.now();
    const firstDueAt = startedAt + leadMs;
    const dueAt = Array.from({ length: tasks }, (_, at) => Math.round(firstDueAt + (at * 1_000) / perSecond));
    const bodies = dueAt.map((due) => bodyOf("wait-10000", { until: new Date(due).toISOString() }));
    const { ids } = await submitAll(poolOf(base), bodies, tasks, inFlight);
    timers = ids.map((id, at) => ({ id, dueAt: dueAt[at] ?? 0 }));
    const waiting = await untilAllWait(poolOf(base), ids, firstDueAt);
    return { waiting, tookMs: Date.now() - startedAt };
  },
  async woken({ base }) {
    const late = await latenessOf(poolOf(base), timers);
    return { lateP50Ms: quantile(late, 0.5), lateP99Ms: quantile(late, 0.99) };
  },
});
