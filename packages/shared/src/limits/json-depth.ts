import { LonghaulError } from "@longhaul/core";

const opens = new Set(["{".charCodeAt(0), "[".charCodeAt(0)]);
const closes = new Set(["}".charCodeAt(0), "]".charCodeAt(0)]);
const quote = '"'.charCodeAt(0);
const backslash = "\\".charCodeAt(0);

/**
 * Refuses (`invalid_argument`) JSON that nests deeper than `max` levels: text or bytes before they are parsed, which is what protects the
 * parser, or a value that was parsed. Text that is no JSON is not judged.
 */
export function checkJsonDepth(json: unknown, max = 64): void {
  const fault =
    typeof json === "string"
      ? textFault(json, max)
      : json instanceof Uint8Array
        ? bytesFault(json, max)
        : jsonDepthFault(json, max);
  if (fault !== undefined)
    throw new LonghaulError("invalid_argument", `the JSON ${fault}`, { faults: [{ pointer: "", message: fault }] });
}

/** What is wrong with the depth of a parsed value; undefined when nothing is. */
export function jsonDepthFault(value: unknown, max: number): string | undefined {
  return fits(value, max) ? undefined : faultText(max);
}

function faultText(max: number): string {
  return `is nested deeper than ${max} levels`;
}

function fits(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (left <= 0) return false;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === "object" && item !== null && !fits(item, left - 1)) return false;
    return true;
  }
  for (const key of Object.keys(value)) {
    const item: unknown = Reflect.get(value, key);
    if (typeof item === "object" && item !== null && !fits(item, left - 1)) return false;
  }
  return true;
}

function textFault(text: string, max: number): string | undefined {
  return scan(text.length, max, (at) => text.charCodeAt(at));
}

// All characters that matter are ASCII, and no other UTF-8 byte has their value.
function bytesFault(bytes: Uint8Array, max: number): string | undefined {
  return scan(bytes.length, max, (at) => bytes[at] ?? 0);
}

function scan(length: number, max: number, codeAt: (at: number) => number): string | undefined {
  let depth = 0;
  for (let at = 0; at < length; at++) {
    const code = codeAt(at);
    if (code === quote) {
      for (at++; at < length; at++) {
        const inside = codeAt(at);
        if (inside === backslash) at++;
        else if (inside === quote) break;
      }
    } else if (opens.has(code)) {
      if (++depth > max) return faultText(max);
    } else if (closes.has(code)) depth--;
  }
  return undefined;
}
