import { code } from "./code.ts";
import { httpRequest } from "./http-request.ts";
import { llm } from "./llm.ts";
import type { NodeImporter } from "./node-import.ts";
import { ifElse, templateTransform, variableAggregator } from "./simple.ts";

/** Importers by Dify's type, but for start, end and iteration, which shape the graph itself. */
export const importers: ReadonlyMap<string, NodeImporter> = new Map([
  ["code", code],
  ["http-request", httpRequest],
  ["if-else", ifElse],
  ["llm", llm],
  ["template-transform", templateTransform],
  ["variable-aggregator", variableAggregator],
  // The name until 0.1.x.
  ["variable-assigner", variableAggregator],
]);

/** Types that begin a graph. */
export const startTypes: ReadonlySet<string> = new Set(["start", "trigger-webhook", "trigger-schedule", "trigger-plugin"]);

/** Types that begin the inside of an iteration; the editor's type and the node's. */
export const innerStartTypes: ReadonlySet<string> = new Set([
  "iteration-start",
  "custom-iteration-start",
  "loop-start",
  "custom-loop-start",
]);
