import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { connectNats, jetstreamDispatch, natsLive } from "@longhaul/adapters/jetstream";
import { openMongo } from "@longhaul/adapters/mongodb";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { ExecutionService } from "@longhaul/proto/execution_service";
import { IntakeService } from "@longhaul/proto/intake_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import { ScheduleService } from "@longhaul/proto/schedule_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import {
  type Env,
  part,
  pinoLogger,
  type Running,
  readiness,
  resumeKeys,
  secretBox,
  serveRpc,
  serviceClient,
  serviceTransport,
} from "@longhaul/shared";
import { readConfig } from "./config.ts";
import { scheduler } from "./scheduler.ts";

/** A scheduler on MongoDB and JetStream, from its environment. */
export async function wire(env: Env): Promise<Running> {
  const config = readConfig(env);
  const log = pinoLogger(config.logLevel, "scheduler");
  const name = `scheduler-${hostname()}-${randomBytes(4).toString("hex")}`;
  const ready = readiness();

  const database = await openMongo({
    url: config.mongodbUrl,
    onHousekeepingError: (err) => log.warn({ err }, "housekeeping of the database failed; trying again"),
  });
  const link = connectNats({ url: config.natsUrl, name, log });
  const dispatch = jetstreamDispatch(link, { window: config.dispatchWindow, replicas: config.natsReplicas, log });
  const toNotifier = serviceTransport(config.notifierUrl, { token: config.internalToken });

  const { services, parts, workerWaits } = scheduler({
    store: database.tasks,
    payloads: database.payloads,
    catalogStore: database.catalog,
    resources: database.resources,
    jobs: database.jobs,
    leases: database.leases,
    outlet: dispatch.outlet,
    live: natsLive(link, { log }),
    notifier: serviceClient(NotifierService, toNotifier),
    box: secretBox(config.secretKeys),
    resume: resumeKeys(config.secretKeys),
    publicUrl: () => config.publicUrl,
    log,
    name,
    leaseMs: config.leaseMs,
    sweepMs: config.sweepMs,
    maxTries: config.maxTries,
    dispatchWindow: config.dispatchWindow,
    maxValueBytes: config.maxValueBytes,
    retentionMs: config.retentionMs,
  });
  const server = serveRpc({
    host: config.host,
    port: config.port,
    ready,
    log,
    token: config.internalToken,
    routes: (router) => {
      router.service(TaskService, services.task);
      router.service(WorkflowService, services.workflow);
      router.service(WorkerService, services.worker);
      router.service(ScheduleService, services.schedule);
      router.service(SecretService, services.secret);
      router.service(ConnectionService, services.connection);
      router.service(LimitService, services.limit);
      router.service(ExecutionService, services.execution);
      router.service(IntakeService, services.intake);
    },
  });

  return {
    log,
    ready,
    drainMs: config.drainMs,
    parts: [
      part("mongodb", { stop: () => database.close() }),
      part("nats", { stop: () => link.close() }),
      part("tickets", { stop: async () => dispatch.close() }),
      part("notifier client", { stop: async () => toNotifier.close() }),
      ...parts,
      server,
      workerWaits,
    ],
    onStarted: () => log.info({ ...server.address(), name }, "scheduler listens"),
  };
}
