import { openMongo } from "@longhaul/adapters/mongodb";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import { IntakeService } from "@longhaul/proto/intake_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import {
  type Env,
  guardedOutbound,
  part,
  pinoLogger,
  type Running,
  readiness,
  secretBox,
  serveRpc,
  serviceClient,
  serviceTransport,
} from "@longhaul/shared";
import { readConfig } from "./config.ts";
import { notifier } from "./notifier.ts";

/** A notifier on MongoDB, from its environment. */
export async function wire(env: Env): Promise<Running> {
  const config = readConfig(env);
  const log = pinoLogger(config.logLevel, "notifier");
  const ready = readiness();

  // The search index and uploads are the scheduler's to look after.
  const database = await openMongo({ url: config.mongodbUrl, housekeeping: false });
  const toScheduler = serviceTransport(config.schedulerUrl, { token: config.internalToken });
  const outbound = guardedOutbound({ allow: config.outboundAllow });
  const { services, parts } = notifier({
    store: database.deliveries,
    outbound,
    intake: serviceClient(IntakeService, toScheduler),
    box: secretBox(config.secretKeys),
    log,
    attempts: config.attempts,
    retryScalePercent: config.retryScalePercent,
    timeoutMs: config.timeoutMs,
    sweepMs: config.sweepMs,
    retentionMs: config.retentionMs,
  });
  const server = serveRpc({
    host: config.host,
    port: config.port,
    ready,
    log,
    token: config.internalToken,
    routes: (router) => {
      router.service(NotifierService, services.notifier);
      router.service(DeliveryService, services.delivery);
    },
  });

  return {
    log,
    ready,
    drainMs: config.drainMs,
    parts: [
      part("mongodb", { stop: () => database.close() }),
      part("scheduler client", { stop: async () => toScheduler.close() }),
      part("outbound", { stop: () => outbound.close() }),
      ...parts,
      server,
    ],
    onStarted: () => log.info(server.address(), "notifier listens"),
  };
}
