import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { objectOf } from "../../expression/json-object.ts";
import {
  type Accepts,
  type KindProblem,
  type NodeContext,
  NodeFailure,
  type NodeKind,
  type NodeResult,
  type NodeWait,
  Suspension,
  type Wake,
} from "../kind.ts";
import { timeoutMs, timeoutProblems } from "../timeout.ts";
import { approvalSchema } from "./schema.ts";

const usualChoices = ["approve", "reject"];

/** Waits until somebody chooses. */
export const approvalKind: NodeKind = {
  name: "approval",
  description: "Asks people and waits for their choice; its output is { choice, by, comment }.",
  schema: approvalSchema,
  needsWith: true,
  effects: false,
  inline: true,
  defaultTimeoutMs: Number.POSITIVE_INFINITY,
  supportsAsync: true,
  triable: false,
  verbatim: ["choices", "onTimeout"],
  check,
  run,
  resume: ({ input }, wait, wake) => decided(objectOf(input), wait, wake),
  accepts: (definition) => ({ schema: answerSchema(choicesOf(objectOf(definition["with"]))) }),
};

function check(input: Json): readonly KindProblem[] {
  const given = objectOf(input);
  const { onTimeout, timeout } = given;
  const choices = choicesOf(given);
  const problems = [...timeoutProblems(timeout)];
  if (typeof onTimeout === "string" && !choices.includes(onTimeout))
    problems.push({
      pointer: "/onTimeout",
      message: `"${onTimeout}" is not one of the choices`,
      mend: `Use one of ${choices.join(", ")}.`,
    });
  if (onTimeout !== undefined && timeout === undefined)
    problems.push({ pointer: "/onTimeout", message: "onTimeout needs a timeout", mend: "Add timeout, or remove onTimeout." });
  return problems;
}

function run({ input, now }: NodeContext): NodeResult {
  const given = objectOf(input);
  const { prompt, who, timeout } = given;
  const limitMs = timeoutMs(timeout);
  const choices = choicesOf(given);
  return new Suspension({
    kind: "approval",
    reason: "It waits until somebody chooses.",
    ...(limitMs === undefined ? {} : { untilMs: now() + limitMs }),
    details: { prompt: prompt ?? "", choices, ...(who === undefined || who === null ? {} : { who }) },
  });
}

function decided(given: JsonObject, wait: NodeWait, wake: Wake): NodeResult {
  const choices = choicesOf(given);
  if (wake.kind === "failed")
    throw new NodeFailure("approval_failed", wake.error.message, {
      retryable: false,
      sent: "no",
      details: { code: wake.error.code },
    });
  if (wake.kind === "time") {
    const { onTimeout } = given;
    if (typeof onTimeout === "string") return { choice: onTimeout, by: "", comment: "" };
    throw new NodeFailure("node_timeout", "nobody chose in time", { retryable: false, sent: "no" });
  }
  const answer = objectOf(wake.payload);
  const { choice, comment, by } = answer;
  // Whoever let it in has checked it; should it not fit all the same, the question stays open.
  if (typeof choice !== "string" || !choices.includes(choice)) return new Suspension(wait);
  const who = wake.by !== "" ? wake.by : typeof by === "string" ? by : "";
  return { choice, by: who, comment: typeof comment === "string" ? comment : "" };
}

function choicesOf({ choices }: JsonObject): readonly string[] {
  if (!Array.isArray(choices)) return usualChoices;
  return choices.filter((choice) => typeof choice === "string");
}

function answerSchema(choices: readonly string[]): NonNullable<Accepts["schema"]> {
  return {
    type: "object",
    required: ["choice"],
    additionalProperties: false,
    properties: {
      choice: { enum: choices },
      comment: { type: "string", maxLength: 10_000 },
      by: { type: "string", maxLength: 200 },
    },
  };
}
