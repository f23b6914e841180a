import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { inProcessDispatch, inProcessLive } from "@longhaul/adapters/in-process";
import { openSqlite } from "@longhaul/adapters/sqlite";
import { executor } from "@longhaul/executor";
import { gatewayConfigOf, gatewayParts } from "@longhaul/gateway";
import { notifier } from "@longhaul/notifier";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import { ExecutionService } from "@longhaul/proto/execution_service";
import { IntakeService } from "@longhaul/proto/intake_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import { ScheduleService } from "@longhaul/proto/schedule_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { scheduler } from "@longhaul/scheduler";
import {
  directClient,
  type Env,
  guardedOutbound,
  part,
  pinoLogger,
  type Running,
  readiness,
  resumeKeys,
  secretBox,
} from "@longhaul/shared";
import { baseUrl } from "./base-url.ts";
import { readConfig } from "./config.ts";
import { secretKeyOf } from "./secret-key-file.ts";
import { welcome } from "./welcome.ts";

/** The four services in one process, on one SQLite file: the same objects, called directly behind the same client types. */
export async function wire(env: Env, print: (text: string) => void = () => {}): Promise<Running> {
  const config = readConfig(env, gatewayConfigOf);
  const log = pinoLogger(config.logLevel, "solo");
  const ready = readiness();
  const name = `solo-${randomBytes(4).toString("hex")}`;
  const direct = { log, maxBytes: config.maxValueBytes * 2 };

  mkdirSync(config.dataDir, { recursive: true });
  const database = openSqlite({ file: join(config.dataDir, "longhaul.db") });
  const secretKeys = config.secretKeys.length > 0 ? config.secretKeys : [secretKeyOf(config.dataDir)];
  const box = secretBox(secretKeys);
  const dispatch = inProcessDispatch({ window: config.dispatchWindow });
  const live = inProcessLive({ onFault: (fault, subject) => log.error({ subject, err: fault }, "a listener failed") });
  const outbound = guardedOutbound({ allow: config.outboundAllow });

  // Known once it listens, and kept when it no longer does: tasks are claimed and run before that and, while it drains, after it.
  let listened: { readonly host: string; readonly port: number } | undefined;
  const publicUrl = (): string => config.publicUrl ?? baseUrl(listened ?? config.gateway);

  // Scheduler and notifier call each other; the client of the second is filled in once it is there.
  const accept: { call?: (typeof notifierClient)["accept"] } = {};
  const tasks = scheduler({
    store: database.tasks,
    payloads: database.payloads,
    catalogStore: database.catalog,
    resources: database.resources,
    jobs: database.jobs,
    outlet: dispatch.outlet,
    live,
    notifier: { accept: (request, options) => (accept.call ?? notReady)(request, options) },
    box,
    resume: resumeKeys(secretKeys),
    publicUrl,
    log: log.child({ service: "scheduler" }),
    name,
    alone: true,
    leaseMs: config.leaseMs,
    sweepMs: config.sweepMs,
    maxTries: config.maxTries,
    dispatchWindow: config.dispatchWindow,
    maxValueBytes: config.maxValueBytes,
    retentionMs: config.retentionMs,
  });
  const intake = directClient(IntakeService, tasks.services.intake, direct);
  const webhooks = notifier({
    store: database.deliveries,
    outbound,
    intake,
    box,
    log: log.child({ service: "notifier" }),
    attempts: config.webhookAttempts,
    retryScalePercent: config.webhookRetryScalePercent,
    timeoutMs: config.webhookTimeoutMs,
    sweepMs: config.sweepMs,
    retentionMs: config.retentionMs,
  });
  const notifierClient = directClient(NotifierService, webhooks.services.notifier, direct);
  accept.call = notifierClient.accept;
  const runner = executor({
    client: directClient(ExecutionService, tasks.services.execution, direct),
    inlet: dispatch.inlet,
    live,
    outbound,
    log: log.child({ service: "executor" }),
    name,
    concurrency: config.concurrency,
    maxValueBytes: config.maxValueBytes,
  });
  const gateway = gatewayParts({
    clients: {
      tasks: directClient(TaskService, tasks.services.task, direct),
      workflows: directClient(WorkflowService, tasks.services.workflow, direct),
      workers: directClient(WorkerService, tasks.services.worker, direct),
      schedules: directClient(ScheduleService, tasks.services.schedule, direct),
      secrets: directClient(SecretService, tasks.services.secret, direct),
      connections: directClient(ConnectionService, tasks.services.connection, direct),
      limits: directClient(LimitService, tasks.services.limit, direct),
      deliveries: directClient(DeliveryService, webhooks.services.delivery, direct),
      intake,
    },
    config: config.gateway,
    log: log.child({ service: "gateway" }),
    ready,
  });
  return {
    log,
    ready,
    drainMs: config.drainMs,
    parts: [
      part("sqlite", { stop: () => database.close() }),
      part("outbound", { stop: () => outbound.close() }),
      ...webhooks.parts,
      ...tasks.parts,
      runner,
      ...gateway.parts,
      tasks.workerWaits,
      part("own address", {
        start: async () => {
          listened = gateway.address();
        },
      }),
    ],
    onStarted: () => print(welcome(gateway.address(), config.gateway.apiKeys)),
  };
}

function notReady(): never {
  throw new Error("the notifier is not there yet");
}
