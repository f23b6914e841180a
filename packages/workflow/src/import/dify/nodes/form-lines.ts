import type { Json } from "@longhaul/core";
import type { NodeImport } from "./node-import.ts";

/** Name and value of each line `name:value`. */
export function linesOf(value: string): readonly (readonly [string, string])[] {
  return value.split("\n").flatMap((line) => {
    const at = line.indexOf(":");
    const name = (at < 0 ? line : line.slice(0, at)).trim();
    return name === "" ? [] : [[name, at < 0 ? "" : line.slice(at + 1).trim()] as const];
  });
}

/** True for a name with a reference in it, which is reported: keys of a definition are not evaluated. */
export function isDynamicName(name: string, what: string, { findings }: NodeImport): boolean {
  if (!name.includes("{{#")) return false;
  findings.lose(`${what} ${name.slice(0, 80)}`, "a name cannot be an expression", "Write the name out.");
  return true;
}

/** A value, or the list of all values given for one name. */
export function added(before: Json | undefined, value: Json): Json {
  if (before === undefined) return value;
  return Array.isArray(before) ? [...(before as readonly Json[]), value] : [before, value];
}
