import type { FieldFault, Json } from "@longhaul/core";
import { budgetAccepts, budgetPath, unknownAccepts } from "../engine/asks.ts";
import type { Accepts } from "../kinds/kind.ts";
import type { CompiledNode, CompiledWorkflow } from "./compiled-workflow.ts";
import { type InputValidator, inputValidator } from "./input-schema.ts";
import type { JsonSchema } from "./schema-type.ts";

/** What people and systems may send to the node at a path such as `each[3].approve`; undefined for one that takes nothing. */
export function acceptedBy(workflow: CompiledWorkflow, path: string): Accepts | undefined {
  if (path === budgetPath) return workflow.limits.onExceeded === "ask" ? budgetAccepts : undefined;
  const node = nodeAt(workflow.nodes, path);
  if (node === undefined) return undefined;
  return node.kind.accepts?.(node.definition) ?? (node.onUnknown === "ask" ? unknownAccepts : undefined);
}

/** Ids of the nodes outside of any `foreach` that take the signal of this name. */
export function acceptedByName(workflow: CompiledWorkflow, name: string): readonly string[] {
  return workflow.nodes.filter(({ kind, definition }) => kind.accepts?.(definition)?.name === name).map(({ id }) => id);
}

// A schema is the same object for as long as its workflow is cached.
const validators = new WeakMap<JsonSchema, InputValidator>();

/** What is wrong with a payload, with pointers below `/payload`; empty where nothing is. Never throws, never runs long. */
export function payloadFaults(schema: JsonSchema | undefined, payload: Json): readonly FieldFault[] {
  if (schema === undefined) return [];
  const known = validators.get(schema) ?? inputValidator(schema);
  validators.set(schema, known);
  return known(payload).map(({ pointer, message }) => ({ pointer: pointer.replace(/^\/input/, "/payload"), message }));
}

/** The node that a path leads to, whatever its indexes. */
function nodeAt(nodes: readonly CompiledNode[], path: string): CompiledNode | undefined {
  const [, id = "", rest] = /^([^[]*)(?:\[[0-9]{1,9}\]\.(.*))?$/.exec(path) ?? [];
  const node = nodes.find((each) => each.id === id);
  return rest === undefined || node === undefined ? node : nodeAt(node.inner?.nodes ?? [], rest);
}
