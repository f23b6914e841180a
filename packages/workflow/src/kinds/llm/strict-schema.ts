import type { Json } from "@longhaul/core";
import type { JsonSchema } from "../../definition/schema-type.ts";
import { objectOf } from "../../expression/json-object.ts";

/**
 * Whether every object of a schema names all that it may have and requires it. Servers that keep a model to a schema word by word take only such
 * schemas for that; any other is asked for without it, and the answer checked here.
 */
export function isStrict(schema: JsonSchema): boolean {
  return schema["type"] === "object" && everyObjectIsClosed(schema);
}

function everyObjectIsClosed(schema: Json): boolean {
  if (typeof schema !== "object" || schema === null) return true;
  if (Array.isArray(schema)) return schema.every(everyObjectIsClosed);
  const { type, properties, required, additionalProperties } = objectOf(schema);
  const isObject = type === "object" || (Array.isArray(type) && type.includes("object"));
  if (isObject) {
    const names = Object.keys(objectOf(properties));
    const needed: readonly Json[] = Array.isArray(required) ? required : [];
    if (additionalProperties !== false || !names.every((name) => needed.includes(name))) return false;
  }
  return Object.values(schema).every(everyObjectIsClosed);
}
