import type { Json } from "@longhaul/core";

/** A JSON Schema, as data. */
export type JsonSchema = { readonly [keyword: string]: Json };

/**
 * The same schema where any value may also be an expression: `{ "if": "text with ${", "else": schema }`. Reads well in editors, and its
 * errors are those of the schema itself.
 */
export function orExpression(schema: JsonSchema): JsonSchema {
  const { description, ...rest } = schema;
  return {
    ...(description === undefined ? {} : { description }),
    if: { type: "string", pattern: "\\$\\{" },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: {},
    else: rest,
  };
}
