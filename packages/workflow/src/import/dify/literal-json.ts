import type { Json } from "@longhaul/core";
import { setOwn } from "../../expression/cel-value.ts";
import { isObject } from "./loose-fields.ts";
import { plainText } from "./template-text.ts";

/** The same value where no text is taken for an expression. */
export function literal(value: Json): Json {
  if (typeof value === "string") return plainText(value);
  if (Array.isArray(value)) return (value as readonly Json[]).map(literal);
  if (!isObject(value)) return value;
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, literal(item));
  return copy;
}
