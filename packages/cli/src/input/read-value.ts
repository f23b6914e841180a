import { usageError } from "../cli-error.ts";
import { type Json, parseJson } from "../client/json.ts";
import type { World } from "../world.ts";
import { parseDocument } from "./read-document.ts";

/** The JSON that an option stands for: itself, `@file` (JSON, or YAML by its name), or `-` for standard input. */
export async function readValue(world: World, option: string, text: string): Promise<Json> {
  if (text.startsWith("@")) {
    const path = text.slice(1);
    return parseDocument(await readText(world, path), path);
  }
  const said = text === "-" ? await world.readStdin() : text;
  try {
    return parseJson(said);
  } catch (error) {
    const from = text === "-" ? "standard input" : "it";
    throw usageError(
      `${option} must be JSON, @file or -; ${from} is no JSON: ${messageOf(error)}\n  Text needs quotes of its own: '"like this"'.`,
      error,
    );
  }
}

/** The text of a file; `-` is standard input. */
export async function readText(world: World, path: string): Promise<string> {
  if (path === "-") return world.readStdin();
  try {
    return await world.readFile(path);
  } catch (error) {
    throw usageError(`can't read ${path === "" ? "a file without a name" : path}: ${messageOf(error)}`, error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
