import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type { CallOptions, Client } from "@connectrpc/connect";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import type { IntakeService } from "@longhaul/proto/intake_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { ScheduleService } from "@longhaul/proto/schedule_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { TaskService } from "@longhaul/proto/task_service";
import { WorkerService } from "@longhaul/proto/worker_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";

/** What the gateway talks to. Calls reject with LonghaulError, as those of `serviceClient` and `directClient` do. */
export interface GatewayClients {
  readonly tasks: Client<typeof TaskService>;
  readonly workflows: Client<typeof WorkflowService>;
  readonly workers: Client<typeof WorkerService>;
  readonly schedules: Client<typeof ScheduleService>;
  readonly secrets: Client<typeof SecretService>;
  readonly connections: Client<typeof ConnectionService>;
  readonly limits: Client<typeof LimitService>;
  readonly deliveries: Client<typeof DeliveryService>;
  readonly intake: Client<typeof IntakeService>;
}

/** A service that is open to the outside, and the client that answers for it. */
export interface PublicService {
  readonly service: DescService;
  readonly client: object;
}

/** Everything that the gateway serves, over HTTP and over gRPC. A new service is one line here, a new method none. */
export function publicServices(clients: GatewayClients): readonly PublicService[] {
  return [
    { service: TaskService, client: clients.tasks },
    { service: WorkflowService, client: clients.workflows },
    { service: WorkerService, client: clients.workers },
    { service: ScheduleService, client: clients.schedules },
    { service: SecretService, client: clients.secrets },
    { service: ConnectionService, client: clients.connections },
    { service: LimitService, client: clients.limits },
    { service: DeliveryService, client: clients.deliveries },
  ];
}

export type UnaryCall = (request: Message, options: CallOptions) => Promise<Message>;
export type StreamCall = (request: Message, options: CallOptions) => AsyncIterable<Message>;

/** The client's function for a method. Throws when there is none or it is of another kind: a fault of the wiring. */
export function unaryCall({ service, client }: PublicService, method: DescMethod): UnaryCall {
  const call: unknown = Reflect.get(client, method.localName);
  if (!isUnary(call, method)) throw new Error(`${service.typeName} has no unary method ${method.name}`);
  return call;
}

export function streamCall({ service, client }: PublicService, method: DescMethod): StreamCall {
  const call: unknown = Reflect.get(client, method.localName);
  if (!isStream(call, method)) throw new Error(`${service.typeName} has no streaming method ${method.name}`);
  return call;
}

// What a Client<S> promises by its type, said by the descriptor instead, because the methods are found at run time.
function isUnary(call: unknown, method: DescMethod): call is UnaryCall {
  return typeof call === "function" && method.methodKind === "unary";
}
function isStream(call: unknown, method: DescMethod): call is StreamCall {
  return typeof call === "function" && method.methodKind === "server_streaming";
}
