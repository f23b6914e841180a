import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Json, LonghaulError, type NodeWait, type WaitingFor, type WaitKind, waitKinds } from "@longhaul/core";
import { type Suspension, SuspensionSchema } from "@longhaul/proto/execution_service";
import { type WaitingFor as WaitingForMessage, WaitingForSchema } from "@longhaul/proto/task";

/** What a node waits for, as it travels with the node's run between executor and scheduler. */
export function suspensionMessage(wait: NodeWait): Suspension {
  const message = create(SuspensionSchema, {
    kind: wait.kind,
    name: wait.name ?? "",
    reason: wait.reason,
    since: timestampFromMs(wait.since),
  });
  if (wait.until !== undefined) message.until = timestampFromMs(wait.until);
  if (wait.details !== undefined) message.detailsJson = Buffer.from(JSON.stringify(wait.details));
  if (wait.memory !== undefined) message.memoryJson = Buffer.from(JSON.stringify(wait.memory));
  return message;
}

/** What a node waits for, as another service sent it. Throws `invalid_argument` for a kind that this version does not know. */
export function suspensionOf(message: Suspension): NodeWait {
  const { name, reason, since, until, detailsJson, memoryJson } = message;
  return {
    kind: waitKindOf(message.kind),
    since: since === undefined ? 0 : timestampMs(since),
    reason,
    ...(until === undefined ? {} : { until: timestampMs(until) }),
    ...(name === "" ? {} : { name }),
    ...(detailsJson.byteLength === 0 ? {} : { details: jsonOf(detailsJson) }),
    ...(memoryJson.byteLength === 0 ? {} : { memory: jsonOf(memoryJson) }),
  };
}

/** One of the nodes that a task waits for, as it travels and as the API shows it; `count` is how many of the task's nodes wait in all. */
export function waitingMessage(wait: WaitingFor, count: number): WaitingForMessage {
  const message = create(WaitingForSchema, {
    kind: wait.kind,
    reason: wait.reason,
    node: wait.node,
    since: timestampFromMs(wait.since),
    name: wait.name ?? "",
    count,
  });
  if (wait.until !== undefined) message.until = timestampFromMs(wait.until);
  return message;
}

/** One of the nodes that a task waits for, as another service sent it. Throws `invalid_argument` for a kind that this version does not know. */
export function waitingOf({ kind, reason, node, since, until, name }: WaitingForMessage): WaitingFor {
  return {
    kind: waitKindOf(kind),
    node,
    since: since === undefined ? 0 : timestampMs(since),
    reason,
    ...(until === undefined ? {} : { until: timestampMs(until) }),
    ...(name === "" ? {} : { name }),
  };
}

function waitKindOf(kind: string): WaitKind {
  const known = waitKinds.find((one) => one === kind);
  if (known === undefined)
    throw new LonghaulError("invalid_argument", `a node waits for something unknown: ${JSON.stringify(kind)}`);
  return known;
}

function jsonOf(bytes: Uint8Array): Json {
  const json: Json = JSON.parse(Buffer.from(bytes).toString());
  return json;
}
