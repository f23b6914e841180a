import { isUtf8 } from "node:buffer";
import { create } from "@bufbuild/protobuf";
import { type Delivery, type FieldFault, LonghaulError } from "@longhaul/core";
import {
  type DeliveryOrder,
  type NotifierServiceAcceptRequest,
  type NotifierServiceAcceptResponse,
  NotifierServiceAcceptResponseSchema,
} from "@longhaul/proto/notifier_service";
import { endpointOf } from "../endpoint/endpoint-of.ts";
import type { NotifierRpcDeps } from "./deps.ts";

const maxOrders = 256;

/** Stores the orders durably, then answers; sending goes on meanwhile. */
export async function accept(
  deps: NotifierRpcDeps,
  { orders }: NotifierServiceAcceptRequest,
): Promise<NotifierServiceAcceptResponse> {
  if (orders.length > maxOrders) {
    throw new LonghaulError("invalid_argument", `A call takes at most ${maxOrders} orders, not ${orders.length}.`);
  }
  const faults = orders.flatMap(faultsOf);
  if (faults.length > 0)
    throw new LonghaulError("invalid_argument", "Some orders are malformed; none was taken over.", { faults });
  const now = deps.now();
  if (orders.length > 0) await deps.sender.takeOver(orders.map((order) => deliveryOf(order, now)));
  return create(NotifierServiceAcceptResponseSchema, { accepted: orders.map((order) => order.id) });
}

function deliveryOf(order: DeliveryOrder, now: number): Delivery {
  const { id, project, taskId, event, url, sealedSecrets, sealedHeaders, body } = order;
  return {
    id,
    project,
    taskId,
    event,
    url,
    endpoint: endpointOf(project, url),
    sealedSecrets: [...sealedSecrets],
    sealedHeaders: { ...sealedHeaders },
    body: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"),
    createTime: now,
    state: "pending",
    nextAttemptTime: now,
    attempts: [],
    made: 0,
    madeInRound: 0,
    // The scheduler counts a delivery as pending from the moment it owes it.
    sequence: 0,
    unreported: false,
  };
}

function faultsOf(order: DeliveryOrder, at: number): FieldFault[] {
  const faults: FieldFault[] = [];
  const fault = (field: string, message: string): void => void faults.push({ pointer: `/orders/${at}/${field}`, message });
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(order.project)) fault("project", "The project's name is malformed.");
  if (order.taskId === "" || order.event === "") fault("taskId", "An order names its task and event.");
  else if (order.id !== `${order.taskId}.${order.event}`) fault("id", "The id is the task's id, a dot, and the event.");
  // The body is kept as text; bytes that are not UTF-8 would not come out as they went in.
  if (!isUtf8(order.body)) fault("body", "The body is not UTF-8.");
  return faults;
}
