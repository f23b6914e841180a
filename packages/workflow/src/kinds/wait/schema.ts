import { durationPattern } from "../../definition/duration.ts";
import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";

/** `with` of a wait. */
export const waitSchema: JsonSchema = {
  type: "object",
  description: "How long, or until when. Exactly one of for and until.",
  additionalProperties: false,
  properties: {
    for: orExpression({
      type: "string",
      pattern: durationPattern,
      description: "A duration such as 30s, 5m, 2h or 1d, counted from when the node begins.",
    }),
    until: orExpression({
      type: "string",
      format: "date-time",
      description: "A time such as 2026-11-30T08:00:00Z. A time that has passed lets the node go on at once.",
    }),
  },
};
