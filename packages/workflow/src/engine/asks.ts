import type { Failure, Json } from "@longhaul/core";
import { objectOf } from "../expression/json-object.ts";
import type { Accepts, NodeWait } from "../kinds/kind.ts";

/** Path of what waits when a ceiling is reached; no node can have this id. */
export const budgetPath = "$budget";

/** What the question after a call of unknown outcome takes. */
export const unknownAccepts: Accepts = {
  schema: {
    anyOf: [
      {
        type: "object",
        required: ["choice"],
        properties: { choice: { enum: ["retry", "fail"] }, comment: { type: "string", maxLength: 10_000 } },
        additionalProperties: false,
      },
      { type: "object", required: ["output"], properties: { output: {} }, additionalProperties: false },
    ],
  },
};

/** What the question at a ceiling takes. */
export const budgetAccepts: Accepts = {
  schema: {
    type: "object",
    required: ["choice"],
    properties: { choice: { enum: ["continue", "fail"] }, comment: { type: "string", maxLength: 10_000 } },
    additionalProperties: false,
  },
};

const unknownMark = "longhaul:unknown";

/** The wait of a node whose call was sent and whose answer nobody saw. */
export function unknownWait(error: Failure | undefined): NodeWait {
  return {
    kind: "approval",
    reason: "The call was sent, but its answer was not seen. Say whether to send it again.",
    details: {
      choices: ["retry", "fail", "output"],
      ...(error === undefined ? {} : { code: error.code, message: error.message }),
    },
    memory: { mark: unknownMark, ...(error === undefined ? {} : { error: { ...error, details: error.details ?? {} } }) },
  };
}

/** True for a wait made by `unknownWait`. */
export function isUnknownWait({ memory }: NodeWait): boolean {
  return objectOf(memory)["mark"] === unknownMark;
}

export type UnknownAnswer =
  | { readonly kind: "retry" }
  | { readonly kind: "fail" }
  | { readonly kind: "output"; readonly output: Json };

/** What was answered to the question after a call of unknown outcome; undefined for an answer to something else. */
export function unknownAnswer(payload: Json): UnknownAnswer | undefined {
  const given = objectOf(payload);
  const { choice, output } = { choice: given["choice"], output: given["output"] };
  if (choice === "retry" || choice === "fail") return { kind: choice };
  return output === undefined ? undefined : { kind: "output", output };
}
