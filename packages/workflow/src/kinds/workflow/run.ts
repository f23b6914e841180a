import type { Json } from "@longhaul/core";
import { objectOf } from "../../expression/json-object.ts";
import {
  type ChildRequest,
  type NodeContext,
  NodeFailure,
  type NodeKind,
  type NodeResult,
  type NodeWait,
  Suspension,
  type Wake,
} from "../kind.ts";
import { workflowNodeSchema } from "./schema.ts";

/** Runs another workflow as a task of its own. */
export const workflowKind: NodeKind = {
  name: "workflow",
  description: "Runs another workflow as a task of its own; its output is that of the task.",
  schema: workflowNodeSchema,
  needsWith: true,
  effects: true,
  inline: false,
  defaultTimeoutMs: 60_000,
  supportsAsync: true,
  run,
  resume: (_context, wait, wake) => ended(wait, wake),
};

async function run(context: NodeContext): Promise<NodeResult> {
  const request = requestOf(context);
  const { taskId } = await context.services.startChild(request);
  if (!request.awaited) return { taskId };
  return new Suspension({
    kind: "child",
    reason: `It waits for a task of workflow "${request.workflow}".`,
    details: { taskId, workflow: request.workflow },
    memory: { taskId },
  });
}

function requestOf({ input, path, operationKey }: NodeContext): ChildRequest {
  const given = objectOf(input);
  const { name, revision, labels } = given;
  if (typeof name !== "string" || name === "") throw wrong("name must be the name of a workflow", "/with/name");
  if (
    revision !== undefined &&
    revision !== null &&
    (typeof revision !== "number" || !Number.isInteger(revision) || revision < 1)
  )
    throw wrong("revision must be a whole number of at least 1", "/with/revision");
  return {
    node: path,
    workflow: name,
    input: given["input"] ?? {},
    awaited: given["await"] !== false,
    operationKey,
    ...(typeof revision === "number" ? { revision } : {}),
    ...(labels === undefined || labels === null ? {} : { labels: labelsOf(labels) }),
  };
}

function labelsOf(labels: Json): Readonly<Record<string, string>> {
  const entries = Object.entries(objectOf(labels)).map(([key, value]): [string, string] => {
    if (typeof value !== "string") throw wrong(`the label "${key.slice(0, 64)}" must be text`, "/with/labels");
    return [key, value];
  });
  return Object.fromEntries(entries);
}

function ended(wait: NodeWait, wake: Wake): Json {
  if (wake.kind === "arrival") return wake.payload;
  if (wake.kind === "time") throw new NodeFailure("node_timeout", "the task did not end in time", { retryable: false });
  const { code, message, node, details } = wake.error;
  const { taskId } = objectOf(wait.memory);
  throw new NodeFailure("child_failed", `the task ended with ${code}: ${message}`, {
    retryable: false,
    sent: "yes",
    details: {
      code,
      ...(taskId === undefined ? {} : { taskId }),
      ...(node === undefined ? {} : { node }),
      ...(details === undefined ? {} : { cause: details }),
    },
  });
}

function wrong(message: string, pointer: string): NodeFailure {
  return new NodeFailure("invalid_request", message, { retryable: false, sent: "no", details: { pointer } });
}
