import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { pointerTo } from "../../expression/pointer.ts";
import { RequestFault } from "./request-fault.ts";

/** True where a value is there; an expression says `null` to leave a field out. */
export function isGiven(value: Json | undefined): value is Exclude<Json, null> {
  return value !== undefined && value !== null;
}

/** The value as an object; throws RequestFault where it is none. */
export function objectOf(pointer: string, value: Json | undefined): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new RequestFault(pointer, `${nameOf(pointer)} must be an object`, "Give it as keys with their values.");
}

/** The value as text; throws RequestFault where it is none. */
export function textOf(pointer: string, value: Json | undefined): string {
  if (typeof value === "string") return value;
  throw new RequestFault(pointer, `${nameOf(pointer)} must be text`, "Put it in quotes, or use string() in an expression.");
}

/** The text that a scalar is sent as. */
export function scalarText(pointer: string, value: Json): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new RequestFault(
    pointer,
    `${nameOf(pointer)} must be text, a number, true or false`,
    "Use json to send a list or an object.",
  );
}

/** Names with their texts; a list repeats its name, null leaves it out. */
export function pairsOf(pointer: string, value: Json): readonly (readonly [string, string])[] {
  return Object.entries(objectOf(pointer, value)).flatMap(([name, entry]) => {
    const at = pointerTo(pointer, name);
    if (!Array.isArray(entry)) return entry === null ? [] : [[name, scalarText(at, entry)] as const];
    return (entry as readonly Json[]).flatMap((item, index) =>
      item === null ? [] : [[name, scalarText(pointerTo(at, index), item)] as const],
    );
  });
}

/** A whole number between the bounds; throws RequestFault where it is none. */
export function wholeNumberOf(pointer: string, value: Json, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RequestFault(
    pointer,
    `${nameOf(pointer)} must be a whole number from ${least} to ${most}`,
    `Give a number from ${least} to ${most}.`,
  );
}

/** Bytes of base64 (RFC 4648, with padding); throws RequestFault where it is none. */
export function bytesOf(pointer: string, value: Json | undefined): Uint8Array {
  const text = textOf(pointer, value);
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") === text) return bytes;
  throw new RequestFault(
    pointer,
    `${nameOf(pointer)} is not base64`,
    "Give standard base64 with its padding and without line breaks; text goes without this field.",
  );
}

/** How a message names the place: `headers.accept` for `/headers/accept`. */
export function nameOf(pointer: string): string {
  if (pointer === "") return "with";
  return pointer.slice(1).replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~").slice(0, 200);
}
