import type { Json } from "@longhaul/core";
import { objectOf } from "../../expression/json-object.ts";
import { rootNames } from "../../expression/scope.ts";
import type { KindProblem, NodeKind } from "../kind.ts";
import { foreachSchema } from "./schema.ts";

// Words that CEL keeps for itself.
const reserved: ReadonlySet<string> = new Set(
  "as break const continue else false for function if import in let loop null package namespace return true var void while".split(
    " ",
  ),
);

/** Runs a graph for each item of a list. The engine runs it; here is what a definition says. */
export const foreachKind: NodeKind = {
  name: "foreach",
  description: "Runs its nodes for each item of a list; its output is { results, errors }.",
  schema: foreachSchema,
  needsWith: true,
  effects: false,
  inline: false,
  defaultTimeoutMs: Number.POSITIVE_INFINITY,
  supportsAsync: true,
  nested: true,
  triable: false,
  check,
  run() {
    throw new Error("the engine runs foreach nodes itself");
  },
};

function check(input: Json): readonly KindProblem[] {
  const { as } = objectOf(input);
  if (typeof as !== "string" || (!reserved.has(as) && !(rootNames as readonly string[]).includes(as))) return [];
  return [{ pointer: "/as", message: `"${as}" has a meaning of its own in expressions`, mend: "Choose another name." }];
}
