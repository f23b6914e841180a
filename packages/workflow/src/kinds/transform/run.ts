import type { NodeKind } from "../kind.ts";
import { transformSchema } from "./schema.ts";

/** The node's output is its `with`, evaluated. */
export const transformKind: NodeKind = {
  name: "transform",
  description: "Puts values together: its output is its `with`, evaluated.",
  schema: transformSchema,
  needsWith: true,
  effects: false,
  inline: true,
  defaultTimeoutMs: Number.POSITIVE_INFINITY,
  supportsAsync: true,
  run: ({ input }) => input,
};
