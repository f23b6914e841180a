import { randomBytes } from "node:crypto";
import { freePort, spawnNode } from "@longhaul/testkit";
import { profileFlags, programOf } from "../process/start-worker.ts";
import { startServers } from "./servers.ts";
import type { Target } from "./target.ts";
import { warningsIn } from "./warnings-in.ts";

/** The product as four processes, with a MongoDB and a JetStream server of its own. */
export async function startCluster(profileDir: string | undefined): Promise<Target> {
  const servers = await startServers();
  const [gateway, scheduler, executor, notifier] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const shared = {
    MONGODB_URL: servers.mongo.urlOf("longhaul"),
    NATS_URL: servers.nats.url,
    SCHEDULER_URL: `http://127.0.0.1:${scheduler}`,
    NOTIFIER_URL: `http://127.0.0.1:${notifier}`,
    SECRET_KEY: randomBytes(32).toString("base64"),
    INTERNAL_TOKEN: randomBytes(24).toString("base64url"),
  };
  const start = (name: string, port: number) =>
    spawnNode(
      programOf(`services/${name}`, "main"),
      { ...shared, PORT: String(port) },
      { nodeArgs: profileFlags(profileDir, `cluster-${name}`) },
    );
  const services = [
    { name: "gateway", running: start("gateway", gateway) },
    { name: "scheduler", running: start("scheduler", scheduler) },
    { name: "executor", running: start("executor", executor) },
    { name: "notifier", running: start("notifier", notifier) },
  ];
  const stop = async (): Promise<void> => {
    await Promise.all(services.map((one) => one.running.kill()));
    await servers.stop();
  };
  try {
    await Promise.all(services.map((one) => one.running.ready(new RegExp(`${one.name} (listens|takes tickets)`))));
  } catch (why) {
    await stop();
    throw why;
  }
  const warnings = () => services.flatMap(({ name, running }) => warningsIn(name, running.output()));
  const ours = services.map(({ name, running }) => ({ name, pid: running.pid, isOurs: true }));
  return { url: `http://127.0.0.1:${gateway}`, processes: [...ours, ...servers.processes], warnings, stop };
}
