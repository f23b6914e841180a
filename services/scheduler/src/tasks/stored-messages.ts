import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { NodeRun, PayloadStore, Arrival as StoredArrival, Payload as StoredPayload } from "@longhaul/core";
import {
  type Arrival,
  ArrivalSchema,
  type Payload,
  PayloadSchema,
  type StoredNode,
  StoredNodeSchema,
} from "@longhaul/proto/execution_service";
import { failureMessage, newMessage, nodeStateNumber, type SecretBox, suspensionMessage } from "@longhaul/shared";
import { isSealedKey, openJson } from "./sealed-values.ts";

/** A value as it travels to an executor: by content or by key. */
export function payloadMessage(payload: StoredPayload): Payload {
  return newMessage(PayloadSchema, {
    value: payload.kind === "inline" ? { case: "json", value: Buffer.from(payload.json) } : { case: "key", value: payload.key },
  });
}

/** A stored node run as an executor gets it, with what is sealed opened. */
export function storedNodeMessage(run: NodeRun, box: SecretBox): StoredNode {
  const message = create(StoredNodeSchema, {
    path: run.path,
    kind: run.kind,
    state: nodeStateNumber(run.state),
    tries: run.tries,
    startTime: timestampFromMs(run.startTime),
    childTask: run.childId ?? "",
  });
  const { output } = run;
  if (output !== undefined) {
    const isSealed = run.secret === true && output.kind === "inline";
    message.output = payloadMessage(isSealed ? { kind: "inline", json: openJson(box, output.json) } : output);
  }
  if (run.error !== undefined) message.error = failureMessage(run.error);
  if (run.wait !== undefined) message.wait = suspensionMessage(run.wait);
  return message;
}

/** What arrived for a node, as an executor gets it. */
export function arrivalMessage(arrival: StoredArrival): Arrival {
  const message = create(ArrivalSchema, {
    seq: BigInt(arrival.seq),
    node: arrival.node,
    by: arrival.by,
    time: timestampFromMs(arrival.at),
  });
  if (arrival.payload !== undefined) message.payload = payloadMessage(arrival.payload);
  if (arrival.error !== undefined) message.error = failureMessage(arrival.error);
  return message;
}

/** Bytes that one answer may still carry. */
export interface ByteBudget {
  left: number;
}

/**
 * The inbox as far as it fits, the oldest first. What is left out is not lost: a task does not go to sleep over an arrival that its
 * executor has not seen, and comes back with it.
 */
export function inboxMessages(inbox: readonly StoredArrival[] | undefined, budget: ByteBudget): Arrival[] {
  const messages: Arrival[] = [];
  for (const arrival of inbox ?? []) {
    const bytes = 256 + (arrival.payload?.kind === "inline" ? arrival.payload.json.length * 3 : 0);
    if (bytes > budget.left) break;
    budget.left -= bytes;
    messages.push(arrivalMessage(arrival));
  }
  return messages;
}

/** Puts stored values into the answer as long as there is room for them. */
export async function inlineValues(
  deps: { readonly payloads: PayloadStore; readonly box: SecretBox },
  messages: readonly (Payload | undefined)[],
  budget: ByteBudget,
): Promise<void> {
  for (const message of messages) {
    if (message === undefined || message.value.case !== "key" || budget.left <= 0) continue;
    const key = message.value.value;
    const [stored] = await deps.payloads.get([key]);
    if (stored === undefined) continue;
    const bytes = Buffer.from(isSealedKey(key) ? openJson(deps.box, stored) : stored);
    if (bytes.byteLength > budget.left) continue;
    budget.left -= bytes.byteLength;
    message.value = { case: "json", value: bytes };
  }
}
