import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../expression/cel-value.ts";

/** A `with` in which all texts below the given keys stand for themselves: every `${` in them is written `$${`, as an author would. */
export function quoteVerbatim(input: Json, keys: readonly string[]): Json {
  if (keys.length === 0 || typeof input !== "object" || input === null || Array.isArray(input)) return input;
  const quoted: Record<string, Json> = {};
  for (const [key, value] of Object.entries(input as JsonObject)) setOwn(quoted, key, keys.includes(key) ? quote(value) : value);
  return quoted;
}

function quote(value: Json): Json {
  if (typeof value === "string") return value.replaceAll("${", () => "$${");
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(quote);
  const quoted: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) setOwn(quoted, key, quote(item));
  return quoted;
}
