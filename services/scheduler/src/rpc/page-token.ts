import { LonghaulError } from "@longhaul/core";

/** A place in a list, as an opaque token: base64url of JSON. It holds no secret and is checked like any input. */
export function pageToken(place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/** The place behind a token whose parts have these types; undefined for an empty token. Rejects anything else with `invalid_argument`. */
export function parsePageToken<const T extends readonly ("string" | "number")[]>(
  token: string,
  types: T,
): { [K in keyof T]: T[K] extends "string" ? string : number } | undefined {
  if (token === "") return undefined;
  const place =
    token.length <= 1_024 && /^[A-Za-z0-9_-]+$/.test(token) ? parse(Buffer.from(token, "base64url").toString()) : undefined;
  if (Array.isArray(place) && place.length === types.length && place.every((part, i) => isOfType(part, types[i]))) {
    // Every part was just checked against its type.
    return place as { [K in keyof T]: T[K] extends "string" ? string : number };
  }
  const message = "The page token is not one that this list gave; start again without one.";
  throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/pageToken", message }] });
}

/** The size of a page, 1 to 500, or the default for 0. */
export function pageSize(asked: number, or: number): number {
  if (asked === 0) return or;
  if (asked >= 1 && asked <= 500) return asked;
  const message = "A page has 1 to 500 entries.";
  throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/pageSize", message }] });
}

function isOfType(part: unknown, type: "string" | "number" | undefined): boolean {
  return typeof part === type && (type !== "number" || Number.isSafeInteger(part));
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
