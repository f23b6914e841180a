import type { Json } from "@longhaul/core";

/** Largest output of a node or task, in bytes of JSON. */
export const maxOutputBytes = 16 * 1024 * 1024;

/** JSON text of an output, or undefined where it is too large. */
export function outputText(output: Json): string | undefined {
  const text = JSON.stringify(output);
  // No character takes more than three bytes.
  if (text.length * 3 <= maxOutputBytes) return text;
  return text.length <= maxOutputBytes && Buffer.byteLength(text) <= maxOutputBytes ? text : undefined;
}
