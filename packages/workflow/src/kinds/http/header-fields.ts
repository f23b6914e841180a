import type { Json } from "@longhaul/core";
import { pointerTo } from "../../expression/pointer.ts";
import { objectOf, scalarText } from "./field-values.ts";
import { RequestFault } from "./request-fault.ts";

// Set by the connection itself; an author's value would break the framing or reach the next hop's neighbour.
const forbidden: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The headers that a node gives, names in lower case; null says that a header is left out. */
export function headerFields(value: Json): ReadonlyMap<string, string | null> {
  const headers = new Map<string, string | null>();
  for (const [name, entry] of Object.entries(objectOf("/headers", value))) {
    const at = pointerTo("/headers", name);
    const lower = headerName(at, name);
    headers.set(lower, entry === null ? null : headerValue(at, scalarText(at, entry)));
  }
  return headers;
}

/** A header name in lower case; throws RequestFault for what is none or not for a node to set. */
export function headerName(pointer: string, name: string): string {
  const lower = name.toLowerCase();
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/.test(lower))
    throw new RequestFault(
      pointer,
      `${JSON.stringify(name.slice(0, 100))} is not a header name`,
      "Use letters, digits and -, at most 256.",
    );
  if (forbidden.has(lower))
    throw new RequestFault(
      pointer,
      `the header ${lower} is set by the connection and cannot be given`,
      "Remove it: it follows from the URL and the body.",
    );
  return lower;
}

/** The value, if a header can carry it; throws RequestFault otherwise. */
export function headerValue(pointer: string, value: string): string {
  if (value.length <= 16_384 && !/[^\t\x20-\x7e\x80-\xff]/.test(value)) return value;
  throw new RequestFault(
    pointer,
    "the header's value has characters that a header cannot carry, or is too long",
    "Remove line breaks and characters outside Latin-1, and keep it under 16 KiB.",
  );
}
