import type { DefinitionFault, Json } from "@longhaul/core";
import { parseDocument } from "yaml";
import { setOwn } from "../expression/cel-value.ts";
import { repeatedYamlKey } from "./repeated-yaml-key.ts";

export type ParsedText =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly faults: readonly DefinitionFault[] };

/** Longest text of a definition, in characters. YAML is slower to read, so less of it is taken. */
export const maxTextLength = { json: 1024 * 1024, yaml: 256 * 1024 };
const maxDepth = 64;
const maxValues = 50_000;
const maxAliases = 50;

/**
 * Reads the text of a definition. YAML is the 1.2 core schema in one document: no tags of its own, no merge keys, few aliases; keys must not
 * repeat in either format.
 */
export function parseDefinitionText(text: string, format: "json" | "yaml"): ParsedText {
  if (text.length > maxTextLength[format]) {
    return refuse(`the definition is longer than ${maxTextLength[format]} characters`, "Split it into several workflows.");
  }
  try {
    const value = format === "json" ? readJson(text) : readYaml(text);
    return { ok: true, value: plainCopy(value, 0, { values: maxValues }) };
  } catch (error) {
    if (error instanceof RangeError) return refuse("the definition is nested too deeply", "Flatten it.");
    if (error instanceof TextFault) return refuse(error.message, error.mend);
    throw error;
  }
}

function refuse(message: string, mend: string): ParsedText {
  return { ok: false, faults: [{ pointer: "", message, node: "", mend }] };
}

class TextFault extends Error {
  readonly mend: string;
  constructor(message: string, mend: string) {
    super(message);
    this.mend = mend;
  }
}

function readJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TextFault(
      `the definition is not valid JSON: ${error instanceof Error ? error.message : ""}`,
      "Correct the JSON at that place.",
    );
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw new TextFault(`the key ${repeated} stands twice in one object`, "Keep one of them.");
  return value;
}

/** A key that an object of a valid JSON text has twice; `JSON.parse` silently keeps the last. */
function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (const [token, isKey] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (isKey !== undefined) {
      const key = token.slice(0, token.length - isKey.length);
      const keys = open.at(-1);
      const name = JSON.stringify(JSON.parse(key));
      if (keys?.has(name)) return name.slice(0, 120);
      keys?.add(name);
    }
  }
  return undefined;
}

function readYaml(text: string): unknown {
  const document = parseDocument(text, {
    version: "1.2",
    schema: "core",
    merge: false,
    // See repeatedYamlKey.
    uniqueKeys: false,
    strict: true,
    logLevel: "error",
  });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem)
    throw new TextFault(`the definition is not valid YAML: ${problem.message.split("\n")[0]}`, "Correct the YAML at that place.");
  const repeated = repeatedYamlKey(document);
  if (repeated) throw new TextFault(`the key ${JSON.stringify(repeated.name)} stands twice in one map`, "Keep one of them.");
  try {
    return document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new TextFault("the definition uses too many YAML aliases", "Write the values out.");
  }
}

/** The value as plain JSON of its own: aliases written out, nothing but JSON in it, within the bounds. */
function plainCopy(value: unknown, depth: number, left: { values: number }): Json {
  if (--left.values < 0)
    throw new TextFault(`the definition has more than ${maxValues} values`, "Split it into several workflows.");
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value !== "object")
    throw new TextFault(
      `the definition has a value that JSON cannot say: ${String(value)}`,
      "Use numbers, text, true, false, null, lists and maps.",
    );
  if (depth >= maxDepth) throw new RangeError("too deep");
  if (Array.isArray(value)) return value.map((item) => plainCopy(item, depth + 1, left));
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, plainCopy(item, depth + 1, left));
  return copy;
}
