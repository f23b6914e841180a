import { join } from "node:path";
import type { ServerCalls } from "../floors/server-calls.ts";
import { startWorker } from "../process/start-worker.ts";
import { freshFolder } from "./fresh-folder.ts";
import { startServers } from "./servers.ts";
import type { Target } from "./target.ts";

/** A Fastify route that accepts and forgets. */
export async function startFastify(profileDir: string | undefined): Promise<Target> {
  const worker = startWorker<ServerCalls>("floors/fastify-worker", profileDir);
  const { url } = await worker.call("start", {});
  return { url, processes: [{ name: "fastify", pid: worker.pid, isOurs: true }], stop: () => worker.stop() };
}

/** The solo floor. */
export async function startSoloFloor(profileDir: string | undefined): Promise<Target> {
  const { dir, remove } = await freshFolder();
  const worker = startWorker<ServerCalls>("floors/solo/solo-worker", profileDir);
  const { url } = await worker.call("start", { file: join(dir, "floor.db") });
  return {
    url,
    processes: [{ name: "floor", pid: worker.pid, isOurs: true }],
    async stop() {
      await worker.stop();
      await remove();
    },
  };
}

/** The split floor: three processes, with a MongoDB and a JetStream server of its own. */
export async function startSplitFloor(profileDir: string | undefined): Promise<Target> {
  const servers = await startServers();
  const nats = servers.nats.url;
  const scheduler = startWorker<ServerCalls>("floors/split/scheduler-worker", profileDir);
  const executor = startWorker<ServerCalls>("floors/split/executor-worker", profileDir);
  const gateway = startWorker<ServerCalls>("floors/split/gateway-worker", profileDir);
  const { url: schedulerUrl } = await scheduler.call("start", { mongodb: servers.mongo.urlOf("floor"), nats });
  await executor.call("start", { scheduler: schedulerUrl, nats });
  const { url } = await gateway.call("start", { scheduler: schedulerUrl });
  return {
    url,
    processes: [
      { name: "gateway", pid: gateway.pid, isOurs: true },
      { name: "scheduler", pid: scheduler.pid, isOurs: true },
      { name: "executor", pid: executor.pid, isOurs: true },
      ...servers.processes,
    ],
    async stop() {
      await Promise.all([gateway.stop(), executor.stop(), scheduler.stop()]);
      await servers.stop();
    },
  };
}
