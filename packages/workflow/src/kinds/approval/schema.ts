import { durationPattern } from "../../definition/duration.ts";
import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

const choice: JsonSchema = { type: "string", minLength: 1, maxLength: 128 };

/** `with` of an approval. */
export const approvalSchema: JsonSchema = {
  type: "object",
  description: "What is asked, and what can be answered.",
  required: ["prompt"],
  additionalProperties: false,
  properties: {
    prompt: { type: "string", minLength: 1, maxLength: 16_384, description: "What is asked, for people." },
    choices: {
      type: "array",
      minItems: 1,
      maxItems: 50,
      uniqueItems: true,
      items: choice,
      default: ["approve", "reject"],
      description: "What can be chosen; approve and reject if not given.",
    },
    who: orExpression({
      "x-expects": "text, or a list of texts",
      anyOf: [
        { type: "string", maxLength: 1024 },
        { type: "array", maxItems: 100, items: { type: "string", maxLength: 256 } },
      ],
      description: "Who is asked, for people. It is shown and not checked.",
    }),
    timeout: orExpression({
      type: "string",
      pattern: durationPattern,
      description: "How long to wait, a duration such as 2d. For ever if not given.",
    }),
    onTimeout: { ...choice, description: "The choice that is taken then; without it the node fails with node_timeout." },
  },
};
