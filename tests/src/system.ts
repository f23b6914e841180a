import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, type NatsServer, natsServer, testDatabase } from "@longhaul/testkit";
import { type Service, type ServiceName, startService } from "./service.ts";

/** A running Longhaul, in one process or in several. */
export interface System {
  readonly kind: "solo" | "cluster";
  /** Where the public API is served; the first gateway's where there are several. */
  readonly url: string;
  readonly urls: readonly string[];
  readonly port: number;
  readonly services: readonly Service[];
  /** The service of that name, such as `scheduler` or `gateway-2`; in solo every name means the one process. */
  service(name: string): Service;
  /** Resolves when every process serves. */
  up(): Promise<void>;
  stop(): Promise<void>;
}

export interface SystemOptions {
  /** For every process, beside what connects them. */
  readonly env?: Readonly<Record<string, string>>;
  /** How many of each; default 1. The second gateway and the second executor talk to the second scheduler, where there is one. */
  readonly gateways?: number;
  readonly schedulers?: number;
  readonly executors?: number;
  readonly nodeArgs?: readonly string[];
  /** Another address of the database and the broker than those that are made, such as a proxy's. */
  readonly mongodbUrl?: string;
  readonly natsUrl?: string;
  /** An address that leads to the schedulers, in place of one scheduler each. */
  readonly schedulerUrl?: (ports: readonly number[]) => Promise<string>;
}

export const secretKey = Buffer.alloc(32, 7).toString("base64");
export const internalToken = "a-token-of-tests-only";

/** What makes a test quick: short leases and pauses. Loopback is where the tests' own receivers are. */
const quick = {
  LEASE_MS: "3000",
  SWEEP_MS: "200",
  WEBHOOK_TIMEOUT_MS: "1000",
  DRAIN_MS: "10000",
  LOG_LEVEL: "info",
} as const;

export async function solo(
  options: SystemOptions & { readonly dataDir?: string } = {},
): Promise<System & { readonly dataDir: string }> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "longhaul-solo-")));
  const port = await freePort();
  const env = { ...quick, DATA_DIR: dataDir, ...options.env };
  const process = startService({ kind: "solo", port, env, nodeArgs: options.nodeArgs ?? [] });
  const url = `http://127.0.0.1:${port}`;
  const system = {
    kind: "solo" as const,
    dataDir,
    url,
    urls: [url],
    port,
    services: [process],
    service: () => process,
    up: () => process.up(),
    async stop() {
      await process.kill();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
  await startedOrStopped(system);
  return system;
}

/** The four services on a database of their own and a broker of their own (which the test may kill, when it brings it). */
export async function cluster(options: SystemOptions = {}): Promise<System> {
  const { gateways = 1, schedulers = 1, executors = 1 } = options;
  let nats: NatsServer | undefined;
  if (options.natsUrl === undefined) nats = await natsServer();
  const natsUrl = options.natsUrl ?? nats?.url ?? "";
  const mongodbUrl = options.mongodbUrl ?? testDatabase().url;
  const common = { ...quick, SECRET_KEY: secretKey, INTERNAL_TOKEN: internalToken, OUTBOUND_ALLOW: "127.0.0.0/8" };
  const ports = async (count: number): Promise<number[]> => {
    const found = new Set<number>();
    while (found.size < count) found.add(await freePort());
    return [...found];
  };
  const [notifierPort = 0, ...others] = await ports(1 + schedulers + gateways + executors);
  const schedulerPorts = others.splice(0, schedulers);
  const gatewayPorts = others.splice(0, gateways);
  const urlOf = (port: number | undefined): string => `http://127.0.0.1:${port}`;
  const shared = await options.schedulerUrl?.(schedulerPorts);
  const schedulerUrl = (at: number): string => shared ?? urlOf(schedulerPorts[at % schedulerPorts.length]);

  const services: Service[] = [];
  const start = (kind: ServiceName, at: number, port: number, env: Readonly<Record<string, string>>): void => {
    const name = at === 0 ? kind : `${kind}-${at + 1}`;
    services.push(
      startService({ kind, name, port, env: { ...common, ...env, ...options.env }, nodeArgs: options.nodeArgs ?? [] }),
    );
  };
  for (const [at, port] of schedulerPorts.entries()) {
    start("scheduler", at, port, { MONGODB_URL: mongodbUrl, NATS_URL: natsUrl, NOTIFIER_URL: urlOf(notifierPort) });
  }
  start("notifier", 0, notifierPort, { MONGODB_URL: mongodbUrl, SCHEDULER_URL: schedulerUrl(0) });
  for (const [at, port] of others.entries()) start("executor", at, port, { NATS_URL: natsUrl, SCHEDULER_URL: schedulerUrl(at) });
  for (const [at, port] of gatewayPorts.entries()) {
    start("gateway", at, port, { SCHEDULER_URL: schedulerUrl(at), NOTIFIER_URL: urlOf(notifierPort) });
  }

  const urls = gatewayPorts.map(urlOf);
  const system: System = {
    kind: "cluster",
    url: urls[0] ?? "",
    urls,
    port: gatewayPorts[0] ?? 0,
    services,
    service(name) {
      const found = services.find((one) => one.name === name);
      if (!found) throw new Error(`there is no ${name} here`);
      return found;
    },
    async up() {
      await Promise.all(services.map((one) => one.up()));
    },
    async stop() {
      await Promise.all(services.map((one) => one.kill()));
      await nats?.stop();
    },
  };
  await startedOrStopped(system);
  return system;
}

/** Both kinds, for `describe.each`. */
export const systems = [
  ["solo", (options: SystemOptions = {}): Promise<System> => solo(options)],
  ["cluster", (options: SystemOptions = {}): Promise<System> => cluster(options)],
] as const;

async function startedOrStopped(system: System): Promise<void> {
  try {
    await system.up();
  } catch (why) {
    await system.stop();
    throw why;
  }
}
