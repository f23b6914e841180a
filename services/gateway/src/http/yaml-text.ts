import { isUtf8 } from "node:buffer";
import { type Json, LonghaulError } from "@longhaul/core";
import { maxJsonDepth } from "@longhaul/shared";
import { repeatedYamlKey } from "@longhaul/workflow";
import { LineCounter, parseDocument } from "yaml";

/** The largest YAML body; parsing YAML costs far more per byte than JSON. */
export const maxYamlBytes = 1_048_576;
/** Values after aliases are written out. */
const maxValues = 200_000;
const maxAliases = 100;

/** Parses a request body as YAML 1.2 (core schema) into JSON values. Throws `invalid_argument` with line and column, or `too_large`. */
export function parseYaml(bytes: Uint8Array): Json {
  if (bytes.length > maxYamlBytes)
    throw new LonghaulError("too_large", `a YAML body may have at most ${maxYamlBytes} bytes; send JSON instead`);
  if (!isUtf8(bytes)) throw new LonghaulError("invalid_argument", "the body is not valid UTF-8");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  checkIndicators(text);
  let value: unknown;
  try {
    const lines = new LineCounter();
    const doc = parseDocument(text, {
      version: "1.2",
      schema: "core",
      merge: false,
      // See repeatedYamlKey.
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter: lines,
      logLevel: "error",
    });
    const refuse = (why: string, offset: number): LonghaulError => {
      const { line, col } = lines.linePos(offset);
      const at = `${why} at line ${line}, column ${col}`;
      return new LonghaulError("invalid_argument", `the body is not valid YAML: ${at}`, {
        faults: [{ pointer: "", message: at }],
      });
    };
    const [fault] = doc.errors;
    if (fault) throw refuse(sentence(fault.message), fault.pos[0]);
    const repeated = repeatedYamlKey(doc);
    if (repeated) throw refuse(`the key ${JSON.stringify(repeated.name)} stands twice in one map`, repeated.offset);
    value = doc.toJS({ maxAliasCount: maxAliases });
  } catch (cause) {
    if (cause instanceof LonghaulError) throw cause;
    if (cause instanceof RangeError) throw tooDeep();
    throw new LonghaulError(
      "invalid_argument",
      "the body is not valid YAML: its aliases can't be resolved, or there are too many of them",
      { cause },
    );
  }
  return toJson(value);
}

/** The library's parser recurses: refuse early what would only serve to exhaust its stack. */
function checkIndicators(text: string): void {
  let flow = 0;
  let deepest = 0;
  for (const ch of text) {
    if (ch === "[" || ch === "{") deepest = Math.max(deepest, ++flow);
    else if (ch === "]" || ch === "}") flow--;
  }
  // Brackets in strings count as well, hence the generous bound; the exact one is checked on the values.
  if (deepest > 1_000 || /(?:[-?:][ \t]+){200}/.test(text)) throw tooDeep();
}

function tooDeep(): LonghaulError {
  return new LonghaulError("invalid_argument", `the YAML body is nested too deeply: at most ${maxJsonDepth} levels are read`);
}

function toJson(root: unknown): Json {
  let left = maxValues;
  const walk = (value: unknown, depth: number): Json => {
    if (--left < 0)
      throw new LonghaulError("too_large", `the YAML body holds more than ${maxValues} values once its aliases are written out`);
    switch (typeof value) {
      case "string":
      case "boolean":
        return value;
      case "number":
        if (Number.isFinite(value)) return value;
        throw new LonghaulError("invalid_argument", "the YAML body holds a number that JSON can't express (.inf or .nan)");
      case "object": {
        if (value === null) return null;
        if (depth >= maxJsonDepth) throw tooDeep();
        if (Array.isArray(value)) return value.map((item: unknown) => walk(item, depth + 1));
        // fromEntries defines properties, so that a key such as __proto__ is data.
        return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, depth + 1)]));
      }
      case "undefined":
        return null;
      default:
        throw new LonghaulError("invalid_argument", "the YAML body holds a value that JSON can't express");
    }
  };
  return walk(root, 0);
}

function sentence(message: string): string {
  const line = (message.split("\n", 1)[0] ?? "").replace(/[.:]?$/, "");
  return line.charAt(0).toLowerCase() + line.slice(1);
}
