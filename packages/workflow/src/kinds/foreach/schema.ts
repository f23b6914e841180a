import { type JsonSchema, orExpression } from "../../definition/schema-type.ts";
import { maxItems, maxItemsAtOnce } from "./rules.ts";

/** `with` of a foreach. */
export const foreachSchema: JsonSchema = {
  type: "object",
  description: "Which items, and how to go through them.",
  required: ["items"],
  additionalProperties: false,
  properties: {
    items: orExpression({ type: "array", maxItems, description: "The items: a list, or an expression that gives one." }),
    as: {
      type: "string",
      pattern: "^[A-Za-z][A-Za-z0-9_]{0,63}$",
      description: "A further name for item, so that a foreach inside of this one can use it.",
    },
    concurrency: orExpression({
      type: "integer",
      minimum: 1,
      maximum: maxItemsAtOnce,
      default: 10,
      description: "How many items are under way at the same time.",
    }),
    onItemError: {
      enum: ["stop", "continue", "collect"],
      default: "stop",
      description:
        "When an item fails: stop fails the node at once, continue goes on and lists the error, collect runs all items and then fails the node.",
    },
  },
};
