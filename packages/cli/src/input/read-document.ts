import { LineCounter, parseDocument as parseYaml } from "yaml";
import { usageError } from "../cli-error.ts";
import { type Json, parseJson } from "../client/json.ts";

/** Whether a file is sent and read as JSON; everything else is YAML. */
export function isJsonFile(path: string): boolean {
  return /\.json$/i.test(path);
}

/** The value of a JSON or YAML file. Throws a usage error that names the line. */
export function parseDocument(text: string, path: string): Json {
  const name = path === "-" ? "standard input" : path;
  if (isJsonFile(path)) {
    try {
      return parseJson(text);
    } catch (error) {
      throw usageError(`${name} is no JSON: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  }
  const lines = new LineCounter();
  const parsed = parseYaml(text, { version: "1.2", schema: "core", merge: false, prettyErrors: false, lineCounter: lines });
  const [fault] = parsed.errors;
  if (fault) {
    const { line, col } = lines.linePos(fault.pos[0]);
    throw usageError(`${name}:${line}:${col}: ${fault.message}`, fault);
  }
  try {
    // What YAML knows and JSON does not (such as `.inf` and keys that are no text) goes here and not half way.
    return parseJson(JSON.stringify(parsed.toJS({ maxAliasCount: 50 }) ?? null));
  } catch (error) {
    throw usageError(`${name} can't be told in JSON: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}
