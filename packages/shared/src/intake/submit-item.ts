import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Json, LonghaulError } from "@longhaul/core";
import { type SubmitItem, SubmitItemSchema } from "@longhaul/proto/intake_service";
import { WebhookSchema } from "@longhaul/proto/task";
import { type TaskServiceSubmitRequest, TaskServiceSubmitRequestSchema } from "@longhaul/proto/task_service";
import { valueToJson } from "../native-json/value.ts";

/** What a submit has besides its request. */
export interface SubmitFacts {
  readonly id: string;
  readonly project: string;
  /** The input as JSON text. */
  readonly inputJson: Uint8Array;
  /** Empty for none. */
  readonly key: string;
  /** Of the body as sent; asked for only with a key. */
  readonly bodyHash: () => Uint8Array;
}

/** The item of a group for one submit. Only its shape is checked here: what it means, the scheduler decides. */
export function submitItem(
  request: TaskServiceSubmitRequest,
  { id, project, inputJson, key, bodyHash }: SubmitFacts,
): SubmitItem {
  if (request.workflow === "") {
    throw new LonghaulError("invalid_argument", "workflow is missing: name the workflow to run", {
      faults: [{ pointer: "/workflow", message: "is required" }],
    });
  }
  return create(SubmitItemSchema, {
    id,
    project,
    workflow: request.workflow,
    revision: request.revision,
    inputJson,
    labels: request.labels,
    priority: request.priority,
    ...(request.notBefore && { notBefore: request.notBefore }),
    ...(request.deadline && { deadline: request.deadline }),
    ...(request.webhook && { webhook: request.webhook }),
    ...(key !== "" && { idempotencyKey: key, bodyHash: bodyHash() }),
  });
}

/** The input of a request by gRPC or Connect as JSON text; absent means null. Throws `invalid_argument` when it nests too deep. */
export function inputText({ input }: TaskServiceSubmitRequest): string {
  return input ? JSON.stringify(valueToJson(input)) : "null";
}

/**
 * What of a request by gRPC or Connect tells a replay from a conflict. Encoders write maps and object keys in any order, so both are
 * sorted; `request_id` and `wait` are left out, because they say nothing about what is to run.
 */
export function requestHash(request: TaskServiceSubmitRequest, input: string): Uint8Array {
  const { workflow, revision, priority, labels, notBefore, deadline, webhook } = request;
  const canonical = create(TaskServiceSubmitRequestSchema, {
    workflow,
    revision,
    priority,
    labels: sorted(labels),
    ...(notBefore && { notBefore }),
    ...(deadline && { deadline }),
    ...(webhook && { webhook: create(WebhookSchema, { ...webhook, headers: sorted(webhook.headers) }) }),
  });
  const hash = createHash("sha256").update(toBinary(TaskServiceSubmitRequestSchema, canonical, { writeUnknownFields: false }));
  return hash
    .update("\0")
    .update(JSON.stringify(sortKeys(JSON.parse(input))))
    .digest();
}

function sorted(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sortKeys(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sortKeys);
  // Pairs keep an order that an object would not (integer-like keys come first there); wrapped, so that they are no array of the input.
  const pairs = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return { pairs: pairs.map(([key, item]) => [key, sortKeys(item)]) };
}
