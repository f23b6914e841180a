import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";

/** True for a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object under a key; an empty one where there is none. */
export function objectAt(fields: JsonObject, key: string): JsonObject {
  const value = own(fields, key);
  return isObject(value) ? value : {};
}

/** The list under a key; an empty one where there is none. */
export function listAt(fields: JsonObject, key: string): readonly Json[] {
  const value = own(fields, key);
  return Array.isArray(value) ? value : [];
}

/** The objects in the list under a key. */
export function objectsAt(fields: JsonObject, key: string): readonly JsonObject[] {
  return listAt(fields, key).filter(isObject);
}

/** The text under a key; numbers and truth values as text, everything else as `or`. */
export function textAt(fields: JsonObject, key: string, or = ""): string {
  const value = own(fields, key);
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : or;
}

/** The number under a key, also where it stands as text; undefined where there is none. */
export function numberAt(fields: JsonObject, key: string): number | undefined {
  const value = own(fields, key);
  if (typeof value === "number") return value;
  return typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : undefined;
}

/** True where the key holds true. */
export function flagAt(fields: JsonObject, key: string): boolean {
  const value = own(fields, key);
  return value === true || value === "true";
}

/** A variable selector such as `["1718", "body"]`; empty where there is none. */
export function selectorAt(fields: JsonObject, key: string): readonly string[] {
  return listAt(fields, key).flatMap((part) => (typeof part === "string" || typeof part === "number" ? [String(part)] : []));
}

/** The value under an object's own key. */
export function own(fields: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(fields, key) ? fields[key] : undefined;
}

/** True for what says nothing: null, false, and empty text, lists and objects. */
export function isBlank(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
