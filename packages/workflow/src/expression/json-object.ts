import type { Json } from "@longhaul/core";
import type { JsonObject } from "./cel-value.ts";

/** The value, if it is an object; an empty one for anything else. */
export function objectOf(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
