import { type Client, createClient } from "@connectrpc/connect";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@longhaul/proto/grpc/health/v1/health_pb";
import { IntakeService } from "@longhaul/proto/intake_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { ScheduleService } from "@longhaul/proto/schedule_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { type Part, part, serviceClient, serviceTransport } from "@longhaul/shared";
import type { GatewayClients } from "./clients.ts";
import type { GatewayProcessConfig } from "./config.ts";

export interface Backends {
  readonly clients: GatewayClients;
  /** Whether scheduler and notifier answer that they serve; asked at most once a second. */
  readonly reach: () => Promise<boolean>;
  /** Closes the connections. */
  readonly part: Part;
}

const checkMs = 1_000;

/** The scheduler and the notifier at their addresses. */
export function backends({ schedulerUrl, notifierUrl, internalToken, maxBodyBytes }: GatewayProcessConfig): Backends {
  // A task carries its input and its output, each up to the limit of one body.
  const options = { token: internalToken, maxBytes: 2 * maxBodyBytes + 1_048_576 };
  const scheduler = serviceTransport(schedulerUrl, { ...options, grouped: [IntakeService] });
  const notifier = serviceTransport(notifierUrl, options);
  const probes = [createClient(Health, scheduler), createClient(Health, notifier)];
  return {
    clients: {
      tasks: serviceClient(TaskService, scheduler),
      workflows: serviceClient(WorkflowService, scheduler),
      workers: serviceClient(WorkerService, scheduler),
      schedules: serviceClient(ScheduleService, scheduler),
      secrets: serviceClient(SecretService, scheduler),
      connections: serviceClient(ConnectionService, scheduler),
      limits: serviceClient(LimitService, scheduler),
      deliveries: serviceClient(DeliveryService, notifier),
      intake: serviceClient(IntakeService, scheduler),
    },
    reach: atMostEvery(checkMs, async () => (await Promise.all(probes.map(isServing))).every(Boolean)),
    part: part("backends", {
      async stop() {
        scheduler.close();
        notifier.close();
      },
    }),
  };
}

async function isServing(probe: Client<typeof Health>): Promise<boolean> {
  try {
    return (await probe.check({}, { timeoutMs: checkMs })).status === Status.SERVING;
  } catch {
    return false;
  }
}

/** Shares one answer among all who ask within `ms`. */
function atMostEvery(ms: number, ask: () => Promise<boolean>): () => Promise<boolean> {
  let askedAt = Number.NEGATIVE_INFINITY;
  let last: Promise<boolean> = Promise.resolve(false);
  return () => {
    if (performance.now() - askedAt < ms) return last;
    askedAt = performance.now();
    last = ask();
    return last;
  };
}
