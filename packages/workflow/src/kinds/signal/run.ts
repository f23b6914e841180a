import type { Json } from "@longhaul/core";
import { checkInputSchema } from "../../definition/input-schema.ts";
import type { JsonSchema } from "../../definition/schema-type.ts";
import type { JsonObject } from "../../expression/cel-value.ts";
import { objectOf } from "../../expression/json-object.ts";
import {
  type Accepts,
  type KindProblem,
  type NodeContext,
  NodeFailure,
  type NodeKind,
  type NodeResult,
  Suspension,
  type Wake,
} from "../kind.ts";
import { timeoutMs, timeoutProblems } from "../timeout.ts";
import { signalSchema } from "./schema.ts";

/** Waits for a value that somebody sends to the task. */
export const signalKind: NodeKind = {
  name: "signal",
  description: "Waits until a value is sent to it; that value is its output.",
  schema: signalSchema,
  needsWith: false,
  effects: false,
  inline: true,
  defaultTimeoutMs: Number.POSITIVE_INFINITY,
  supportsAsync: true,
  triable: false,
  verbatim: ["schema"],
  check,
  run,
  resume: (_context, _wait, wake) => received(wake),
  accepts,
};

function check(input: Json): readonly KindProblem[] {
  const { schema, timeout } = objectOf(input);
  const wrong = schema === undefined ? [] : checkInputSchema(schema);
  return [...wrong.map((problem) => ({ ...problem, pointer: `/schema${problem.pointer}` })), ...timeoutProblems(timeout)];
}

function run({ input, now, path }: NodeContext): NodeResult {
  const { name, schema, timeout } = objectOf(input);
  const limitMs = timeoutMs(timeout);
  const called = typeof name === "string" ? name : lastId(path);
  return new Suspension({
    kind: "signal",
    name: called,
    reason: `It waits for the signal "${called}".`,
    ...(limitMs === undefined ? {} : { untilMs: now() + limitMs }),
    ...(schema === undefined ? {} : { details: { schema } }),
  });
}

function received(wake: Wake): Json {
  if (wake.kind === "arrival") return wake.payload;
  if (wake.kind === "time") throw new NodeFailure("node_timeout", "no signal came in time", { retryable: false, sent: "no" });
  throw new NodeFailure("signal_failed", wake.error.message, {
    retryable: false,
    sent: "no",
    details: { code: wake.error.code },
  });
}

function accepts(definition: JsonObject): Accepts {
  const { name, schema } = objectOf(definition["with"]);
  const id = definition["id"];
  const called = typeof name === "string" ? name : typeof id === "string" ? id : "";
  return { name: called, ...(schemaOf(schema) ?? {}) };
}

function schemaOf(schema: Json | undefined): { readonly schema: JsonSchema } | undefined {
  if (schema === false) return { schema: { not: {} } };
  return typeof schema === "object" && schema !== null && !Array.isArray(schema) ? { schema: schema as JsonSchema } : undefined;
}

/** The id at the end of a path such as `each[3].ready`. */
function lastId(path: string): string {
  const at = path.lastIndexOf("].");
  return at < 0 ? path : path.slice(at + 2);
}
