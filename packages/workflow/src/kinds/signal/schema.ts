import { durationPattern } from "../../definition/duration.ts";
import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** `with` of a signal. */
export const signalSchema: JsonSchema = {
  type: ["object", "null"],
  description: "Which signal, what it must carry, and how long to wait for it.",
  additionalProperties: false,
  properties: {
    name: {
      type: "string",
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
      description: "Name by which it is sent; the node's id if not given.",
    },
    schema: { type: ["object", "boolean"], description: "JSON Schema (2020-12) of the payload; any JSON without it." },
    timeout: orExpression({
      type: "string",
      pattern: durationPattern,
      description: "How long to wait, a duration such as 2h; after that the node fails with node_timeout. For ever if not given.",
    }),
  },
};
