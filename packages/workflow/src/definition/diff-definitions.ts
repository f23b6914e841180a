import type { Json } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import { areEqual, type ChangeBudget, diffValues, isObject, own, type ValueChange } from "./diff-values.ts";

/** What became of a node. */
export interface NodeChange {
  /** Its path in the definition; nodes inside of others are `outer.inner`. */
  readonly node: string;
  readonly change: "added" | "removed" | "changed";
  /** Its kind, the later one where both have it. */
  readonly kind: string;
  /** For a changed node: where it differs, by JSON pointer inside the node. Its needs are told as edges, nodes inside it as nodes. */
  readonly changes: readonly ValueChange[];
}

/** An edge that came or went; one whose outcome changed went and came. */
export interface EdgeChange {
  readonly change: "added" | "removed";
  /** Paths of the nodes. */
  readonly from: string;
  readonly to: string;
  readonly on: string;
}

/** What changed between two definitions. */
export interface DefinitionDiff {
  /** True when they mean the same: order of nodes, of needs and of keys does not matter. */
  readonly same: boolean;
  /** In the order of the later definition, then what was removed, in the order of the earlier one. */
  readonly nodes: readonly NodeChange[];
  readonly edges: readonly EdgeChange[];
  readonly input: readonly ValueChange[];
  readonly output: readonly ValueChange[];
  readonly limits: readonly ValueChange[];
  /** Everything else at the top, such as `/description`. */
  readonly about: readonly ValueChange[];
  /** How many changes are not listed, because there are more than 1,000. */
  readonly omitted: number;
}

export const maxChanges = 1000;
const ownParts: ReadonlySet<string> = new Set(["nodes", "input", "output", "limits"]);

/** Compares two definitions, the earlier one first. Pure; works on definitions with faults too. */
export function diffDefinitions(a: Json, b: Json): DefinitionDiff {
  const [before, after] = [isObject(a) ? a : {}, isObject(b) ? b : {}];
  const budget: ChangeBudget = { left: maxChanges, omitted: 0 };
  const part = (key: string): readonly ValueChange[] => {
    const found: ValueChange[] = [];
    diffValues(own(before, key), own(after, key), "", budget, found);
    return found;
  };
  const [old, fresh] = [nodesOf(before, ""), nodesOf(after, "")];
  const nodes = nodeChanges(old, fresh, budget);
  const edges = edgeChanges(old, fresh, budget);
  const [input, output, limits] = [part("input"), part("output"), part("limits")];
  const about: ValueChange[] = [];
  diffValues(without(before, ownParts), without(after, ownParts), "", budget, about);
  const same = [nodes, edges, input, output, limits, about].every((list) => list.length === 0) && budget.omitted === 0;
  return { same, nodes, edges, input, output, limits, about, omitted: budget.omitted };
}

/** Nodes by path, those inside of others behind them. */
function nodesOf(holder: JsonObject, prefix: string): ReadonlyMap<string, JsonObject> {
  const found = new Map<string, JsonObject>();
  const listed = own(holder, "nodes");
  if (!Array.isArray(listed)) return found;
  for (const node of listed as readonly Json[]) {
    const id = isObject(node) ? own(node, "id") : undefined;
    if (!isObject(node) || typeof id !== "string") continue;
    const path = `${prefix}${id}`;
    if (!found.has(path)) found.set(path, node);
    for (const [inner, one] of nodesOf(node, `${path}.`)) if (!found.has(inner)) found.set(inner, one);
  }
  return found;
}

const edgeParts: ReadonlySet<string> = new Set(["id", "needs", "nodes"]);

function nodeChanges(
  old: ReadonlyMap<string, JsonObject>,
  fresh: ReadonlyMap<string, JsonObject>,
  budget: ChangeBudget,
): readonly NodeChange[] {
  const found: NodeChange[] = [];
  const add = (change: NodeChange): void => {
    if (budget.left > 0) found.push(change);
    else budget.omitted++;
    budget.left--;
  };
  for (const [node, after] of fresh) {
    const before = old.get(node);
    if (before === undefined) {
      add({ node, change: "added", kind: kindOf(after), changes: [] });
      continue;
    }
    const [a, b] = [without(before, edgeParts), without(after, edgeParts)];
    if (areEqual(a, b)) continue;
    const changes: ValueChange[] = [];
    diffValues(a, b, "", budget, changes);
    if (changes.length > 0) found.push({ node, change: "changed", kind: kindOf(after), changes });
  }
  for (const [node, before] of old) if (!fresh.has(node)) add({ node, change: "removed", kind: kindOf(before), changes: [] });
  return found;
}

function kindOf(node: JsonObject): string {
  const kind = own(node, "kind");
  return typeof kind === "string" ? kind : "";
}

function edgeChanges(
  old: ReadonlyMap<string, JsonObject>,
  fresh: ReadonlyMap<string, JsonObject>,
  budget: ChangeBudget,
): readonly EdgeChange[] {
  const found: EdgeChange[] = [];
  const [before, after] = [edgesOf(old), edgesOf(fresh)];
  const add = (change: EdgeChange): void => {
    if (budget.left-- > 0) found.push(change);
    else budget.omitted++;
  };
  for (const [key, edge] of after) if (!before.has(key)) add({ change: "added", ...edge });
  for (const [key, edge] of before) if (!after.has(key)) add({ change: "removed", ...edge });
  return found;
}

type Edge = Omit<EdgeChange, "change">;

function edgesOf(nodes: ReadonlyMap<string, JsonObject>): ReadonlyMap<string, Edge> {
  const found = new Map<string, Edge>();
  for (const [to, node] of nodes) {
    const prefix = to.slice(0, to.length - idLength(node));
    const needs = own(node, "needs");
    if (!Array.isArray(needs)) continue;
    for (const need of needs as readonly Json[]) {
      const edge = edgeOf(need, prefix, to);
      if (edge !== undefined) found.set(JSON.stringify([edge.from, edge.to, edge.on]), edge);
    }
  }
  return found;
}

function idLength(node: JsonObject): number {
  const id = own(node, "id");
  return typeof id === "string" ? id.length : 0;
}

function edgeOf(need: Json, prefix: string, to: string): Edge | undefined {
  if (typeof need === "string") return { from: `${prefix}${need}`, to, on: "succeeded" };
  if (!isObject(need)) return undefined;
  const [node, on] = [own(need, "node"), own(need, "on")];
  return typeof node === "string" ? { from: `${prefix}${node}`, to, on: typeof on === "string" ? on : "succeeded" } : undefined;
}

function without(object: JsonObject, keys: ReadonlySet<string>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.has(key)));
}
