import { join } from "node:path";
import type { LoopAsk, LoopCalls } from "./floors/server-calls.ts";
import type { BenchOptions } from "./options.ts";
import { startWorker } from "./process/start-worker.ts";
import { freshFolder } from "./targets/fresh-folder.ts";
import { startServers } from "./targets/servers.ts";
import { nodeCounts, type WorkflowName, workflowNames } from "./workload.ts";

/** What a bare loop reached. */
export interface LoopFigures {
  readonly what: string;
  readonly perSecond: number;
  /** Of our process, without the server's. */
  readonly cpuMsPerItem: number;
}

const batch = 64;

/** The writes of a task in SQLite, for each workflow. */
export async function measureSqlite(options: BenchOptions): Promise<readonly LoopFigures[]> {
  const done: LoopFigures[] = [];
  for (const workflow of wantedOf(options)) {
    const { dir, remove } = await freshFolder();
    const ask = { count: options.tasks, nodes: nodeCounts[workflow], batch };
    const what = `SQLite, writes of ${workflow}, ${batch} per transaction`;
    done.push(await runLoop("floors/writes/sqlite-worker", what, { ...ask, env: { file: join(dir, "writes.db") } }));
    await remove();
  }
  return done;
}

/** The writes of a task in MongoDB, for each workflow. */
export async function measureMongo(options: BenchOptions): Promise<readonly LoopFigures[]> {
  const servers = await startServers();
  try {
    const done: LoopFigures[] = [];
    for (const workflow of wantedOf(options)) {
      const ask = { count: options.tasks, nodes: nodeCounts[workflow], batch };
      const what = `MongoDB, writes of ${workflow}, ${batch} per command`;
      done.push(await runLoop("floors/writes/mongo-worker", what, { ...ask, env: { url: servers.mongo.urlOf(workflow) } }));
    }
    return done;
  } finally {
    await servers.stop();
  }
}

/** Messages published to JetStream with acknowledgement, in memory and on disk. */
export async function measureJetstream(options: BenchOptions): Promise<readonly LoopFigures[]> {
  const servers = await startServers();
  try {
    const done: LoopFigures[] = [];
    for (const storage of ["memory", "file"]) {
      const ask = { count: options.tasks, nodes: 0, batch: options.inFlight, env: { url: servers.nats.url, storage } };
      const what = `JetStream publish with ack, ${storage} storage, ${options.inFlight} under way`;
      done.push(await runLoop("floors/writes/jetstream-worker", what, ask));
    }
    return done;
  } finally {
    await servers.stop();
  }
}

function wantedOf({ workloads }: BenchOptions): readonly WorkflowName[] {
  return workflowNames.filter((name) => workloads.includes(name));
}

async function runLoop(worker: string, what: string, ask: LoopAsk): Promise<LoopFigures> {
  const loop = startWorker<LoopCalls>(worker);
  try {
    const { perSecond, cpuMs } = await loop.call("run", ask);
    return { what, perSecond, cpuMsPerItem: cpuMs / ask.count };
  } finally {
    await loop.stop();
  }
}
