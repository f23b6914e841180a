import { usageError } from "../cli-error.ts";
import { isObject, type JsonObject } from "../client/json.ts";
import type { World } from "../world.ts";
import { parseDocument } from "./read-document.ts";
import { readText } from "./read-value.ts";

/** The object that a YAML or JSON file holds; an empty one where no file is given. */
export async function readObject(world: World, file: string | undefined): Promise<JsonObject> {
  if (file === undefined) return {};
  const value = parseDocument(await readText(world, file), file);
  if (!isObject(value)) throw usageError(`${file} must hold an object: names and values`);
  return value;
}

/** Without what is undefined. */
export function given(fields: Readonly<Record<string, JsonObject[string] | undefined>>): JsonObject {
  const found: Record<string, JsonObject[string]> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) found[name] = value;
  return found;
}
