import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { connectNats, jetstreamDispatch, natsLive } from "@longhaul/adapters/jetstream";
import { ExecutionService } from "@longhaul/proto/execution_service";
import {
  type Env,
  guardedOutbound,
  part,
  pinoLogger,
  type Running,
  readiness,
  serveRpc,
  serviceClient,
  serviceTransport,
} from "@longhaul/shared";
import { readConfig } from "./config.ts";
import { executor } from "./executor.ts";

/** An executor that takes tickets from JetStream, from its environment. */
export async function wire(env: Env): Promise<Running> {
  const config = readConfig(env);
  const log = pinoLogger(config.logLevel, "executor");
  const name = `executor-${hostname().replaceAll(/[^A-Za-z0-9_-]/g, "-")}-${randomBytes(4).toString("hex")}`;
  const ready = readiness();

  const link = connectNats({ url: config.natsUrl, name, log });
  const dispatch = jetstreamDispatch(link, { window: config.dispatchWindow, replicas: config.natsReplicas, log });
  const toScheduler = serviceTransport(config.schedulerUrl, { token: config.internalToken, grouped: [ExecutionService] });
  const outbound = guardedOutbound({ allow: config.outboundAllow });
  const runner = executor({
    client: serviceClient(ExecutionService, toScheduler),
    inlet: dispatch.inlet,
    live: natsLive(link, { log }),
    outbound,
    log,
    name,
    concurrency: config.concurrency,
    maxValueBytes: config.maxValueBytes,
  });
  // Health and probes only: an executor serves nobody.
  const server = serveRpc({ host: config.host, port: config.port, ready, log, token: config.internalToken, routes: () => {} });

  return {
    log,
    ready,
    drainMs: config.drainMs,
    parts: [
      part("nats", { stop: () => link.close() }),
      part("tickets", { stop: async () => dispatch.close() }),
      part("scheduler client", { stop: async () => toScheduler.close() }),
      part("outbound", { stop: () => outbound.close() }),
      server,
      runner,
    ],
    onStarted: () => log.info({ ...server.address(), name }, "executor takes tickets"),
  };
}
