import type { Json } from "@longhaul/core";
import type { JsonObject } from "./cel-value.ts";

/** The names that an expression may use. */
export const rootNames = ["input", "nodes", "errors", "task", "item", "index", "secrets", "response"] as const;

/** `locals` holds the names that a `foreach` gives to its items; no expression says it by itself. */
export type RootName = (typeof rootNames)[number] | "locals";

/**
 * What an expression can see. `nodes` holds the outputs of finished nodes by id (skipped and failed nodes are absent), `errors` the failures of
 * failed ones; `item` and `index` exist only inside a `foreach`, `response` only where a kind evaluates a part of its `with` itself. Objects are read by their own keys alone.
 */
export interface Scope {
  readonly input: Json;
  readonly nodes: JsonObject;
  readonly errors: JsonObject;
  readonly task: JsonObject;
  readonly secrets: JsonObject;
  readonly item?: Json;
  readonly index?: number;
  readonly response?: Json;
  readonly locals?: JsonObject;
}

/** A fixed way into the scope that an expression uses, such as `["nodes", "page", "body"]`. */
export type Path = readonly [RootName, ...string[]];

/**
 * The parts of a scope that the given paths reach, for handing to another thread. What is absent stays absent; a path that runs into a list
 * takes the whole list.
 */
export function pruneScope(scope: Scope, paths: readonly Path[]): Scope {
  const pruned: Record<string, Json> = {};
  for (const [root, ...keys] of paths) {
    const value = scope[root];
    if (value !== undefined) pruned[root] = pruneInto(pruned[root], value, keys);
  }
  return { input: null, nodes: {}, errors: {}, task: {}, secrets: {}, ...pruned };
}

function pruneInto(target: Json | undefined, value: Json, keys: readonly string[]): Json {
  const [key, ...rest] = keys;
  if (key === undefined || typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const object = value as JsonObject;
  if (target === object) return object;
  const copy: Record<string, Json> = {};
  if (typeof target === "object" && target !== null && !Array.isArray(target)) {
    for (const [name, kept] of Object.entries(target)) define(copy, name, kept);
  }
  if (Object.hasOwn(object, key))
    define(copy, key, pruneInto(Object.hasOwn(copy, key) ? copy[key] : undefined, object[key] ?? null, rest));
  return copy;
}

function define(target: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
