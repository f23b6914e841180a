import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** `with` of a worker node. */
export const workerSchema: JsonSchema = {
  type: "object",
  description: "Which function to call, and on what.",
  required: ["function"],
  additionalProperties: false,
  properties: {
    function: orExpression({
      type: "string",
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
      description: "Name of the function, as workers register it.",
    }),
    input: { description: "What the function gets; {} if not given." },
  },
};
