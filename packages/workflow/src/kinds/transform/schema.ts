import type { JsonSchema } from "../../definition/schema-type.ts";

/** `with` of a transform: any JSON. */
export const transformSchema: JsonSchema = {
  description: "Any JSON; its expressions are evaluated, and the result is the node's output.",
};
