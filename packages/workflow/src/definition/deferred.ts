import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../expression/cel-value.ts";

/** A `with` taken apart: what is evaluated before its kind runs, and what the kind evaluates itself, by JSON pointer below `with`. */
export interface TakenApart {
  readonly eager: Json;
  readonly deferred: ReadonlyMap<string, Json>;
}

/** Takes the parts at the pointers (through objects only) out of a `with`. A part that is not there is left out. */
export function takeDeferred(value: Json, pointers: readonly string[]): TakenApart {
  const deferred = new Map<string, Json>();
  const eager = pointers.reduce((rest, pointer) => without(rest, pointer.slice(1).split("/"), pointer, deferred), value);
  return { eager, deferred };
}

function without(value: Json, [key = "", ...keys]: readonly string[], pointer: string, found: Map<string, Json>): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const object = value as JsonObject;
  const part = Object.hasOwn(object, key) ? object[key] : undefined;
  if (part === undefined) return value;
  const copy: Record<string, Json> = {};
  for (const [name, item] of Object.entries(object)) {
    if (name !== key) setOwn(copy, name, item);
    else if (keys.length > 0) setOwn(copy, name, without(item, keys, pointer, found));
    else found.set(pointer, item);
  }
  return copy;
}
