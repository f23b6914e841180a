import type { Json } from "@longhaul/core";
import type { CompiledWorkflow } from "@longhaul/workflow";

export type JsonObject = { readonly [key: string]: Json };

/** The definition of the node of a path such as `each[3].approve`, whose ids may hold dots themselves. */
export function definitionAt({ definition }: CompiledWorkflow, path: string): JsonObject | undefined {
  let at: JsonObject | undefined = objectOf(definition);
  for (const id of path.split(/\[\d+\]\./)) {
    at = nodesOf(at).find((node) => node["id"] === id);
    if (at === undefined) return undefined;
  }
  return at;
}

/** The nodes of a workflow or of a node that has a graph of its own. */
export function nodesOf(of: JsonObject | undefined): readonly JsonObject[] {
  const nodes = of?.["nodes"];
  if (!Array.isArray(nodes)) return [];
  return nodes.flatMap((node: Json) => {
    const object = objectOf(node);
    return object === undefined ? [] : [object];
  });
}

export function objectOf(json: Json): JsonObject | undefined {
  // The checks leave nothing but an object.
  return typeof json === "object" && json !== null && !Array.isArray(json) ? (json as JsonObject) : undefined;
}
