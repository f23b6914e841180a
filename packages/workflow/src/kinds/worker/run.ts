import type { Failure, Json } from "@longhaul/core";
import { objectOf } from "../../expression/json-object.ts";
import { type NodeContext, NodeFailure, type NodeKind, type NodeResult, type NodeWait, Suspension, type Wake } from "../kind.ts";
import { workerSchema } from "./schema.ts";

const functionName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const hourMs = 3_600_000;

/** Calls a function that a remote worker serves. */
export const workerKind: NodeKind = {
  name: "worker",
  description: "Calls a function that a remote worker serves, in any language; its output is what the function answers.",
  schema: workerSchema,
  needsWith: true,
  effects: true,
  inline: false,
  defaultTimeoutMs: hourMs,
  supportsAsync: true,
  run,
  resume,
};

async function run({ input, path, operationKey, now, timeoutMs, services }: NodeContext): Promise<NodeResult> {
  const given = objectOf(input);
  const name = given["function"];
  if (typeof name !== "string" || !functionName.test(name))
    throw new NodeFailure("invalid_request", "function must be the name of a function: letters, digits and . _ -", {
      retryable: false,
      sent: "no",
      details: { pointer: "/with/function" },
    });
  const untilMs = now() + timeoutMs;
  const { jobId } = await services.submitJob({ node: path, function: name, input: given["input"] ?? {}, operationKey, untilMs });
  return new Suspension({
    kind: "worker",
    reason: `It waits for a worker's answer to function "${name}".`,
    name,
    untilMs,
    details: { function: name, jobId },
    memory: { job: jobId, function: name },
  });
}

function resume({ log }: NodeContext, wait: NodeWait, wake: Wake): NodeResult {
  const { job, function: name } = objectOf(wait.memory);
  if (wake.kind === "time")
    throw new NodeFailure("node_timeout", `function "${String(name)}" was not answered in time`, {
      retryable: true,
      sent: "unknown",
    });
  if (wake.kind === "failed") throw failed(wake.error);
  const answer = objectOf(wake.payload);
  // The answer to an earlier try, which the node waits for no more.
  if (answer["job"] !== job) return new Suspension(wait);
  const lines = answer["log"];
  if (Array.isArray(lines)) for (const each of lines) log(String(objectOf(each)["line"] ?? ""));
  if (Object.hasOwn(answer, "error")) throw failed(failureOf(objectOf(answer["error"])));
  return answer["output"] ?? null;
}

function failureOf({ code, message, retryable, details }: { readonly [key: string]: Json }): Failure {
  return {
    code: typeof code === "string" && code !== "" ? code : "function_failed",
    message: typeof message === "string" ? message : "The function failed.",
    retryable: retryable === true,
    ...(details === undefined || details === null ? {} : { details: objectOf(details) }),
  };
}

function failed({ code, message, retryable, details }: Failure): NodeFailure {
  return new NodeFailure(code, message, { retryable, sent: "yes", ...(details === undefined ? {} : { details }) });
}
