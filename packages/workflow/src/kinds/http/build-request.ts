import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { NodeFailure } from "../kind.ts";
import { methods } from "./schema.ts";

/** What to send, and which statuses count as success. */
export interface BuiltRequest {
  readonly request: {
    readonly method: string;
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
  };
  accepts(status: number): boolean;
}

/** Turns an evaluated `with` into a request; throws NodeFailure `invalid_request` for values that only evaluation could show to be wrong. */
export function buildRequest(input: Json, operationKey: string): BuiltRequest {
  const fields = objectOf("with", input);
  const method = methodOf(fields["method"]);
  const content = contentOf(fields);
  const headers = headersOf(fields["headers"], content?.type, operationKey);
  const url = urlOf(fields["url"], fields["query"]);
  const request = { method, url, headers };
  return {
    request: content === undefined ? request : { ...request, body: content.body },
    accepts: acceptance(fields["acceptStatus"]),
  };
}

function bad(message: string): NodeFailure {
  return new NodeFailure("invalid_request", message, { retryable: false });
}

function objectOf(name: string, value: Json | undefined): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(`${name} must be an object`);
  return value as JsonObject;
}

function methodOf(value: Json | undefined): string {
  if (value === undefined || value === null) return "GET";
  const method = methods.find((each) => each === value);
  if (method === undefined) throw bad(`method must be one of ${methods.join(", ")}`);
  return method;
}

function urlOf(value: Json | undefined, query: Json | undefined): string {
  if (typeof value !== "string" || !URL.canParse(value)) throw bad("url must be an absolute http or https URL");
  const url = new URL(value);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw bad("url must be an absolute http or https URL");
  if (url.username !== "" || url.password !== "") throw bad("url must not hold a user or password; send an authorization header");
  if (query !== undefined && query !== null)
    for (const [name, text] of pairs("query", query)) url.searchParams.append(name, text);
  return url.href;
}

function pairs(field: string, value: Json): readonly (readonly [string, string])[] {
  return Object.entries(objectOf(field, value)).flatMap(([name, entry]) => {
    const list: readonly Json[] = Array.isArray(entry) ? entry : [entry];
    return list.filter((item) => item !== null).map((item) => [name, scalarText(`${field}.${name}`, item)] as const);
  });
}

function scalarText(name: string, value: Json): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw bad(`${name} must be text, a number, true or false`);
}

function formText(form: Json): string {
  const text = new URLSearchParams();
  for (const [name, value] of pairs("form", form)) text.append(name, value);
  return text.toString();
}

interface Content {
  readonly type: string | undefined;
  readonly body: string;
}

function contentOf(fields: JsonObject): Content | undefined {
  const json = fields["json"];
  if (json !== undefined) return { type: "application/json", body: JSON.stringify(json) };
  const form = fields["form"];
  if (form !== undefined) return { type: "application/x-www-form-urlencoded", body: formText(form) };
  const body = fields["body"];
  if (body === undefined || body === null) return undefined;
  if (typeof body !== "string") throw bad("body must be text; use json to send other values");
  return { type: undefined, body };
}

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

function headersOf(value: Json | undefined, type: string | undefined, operationKey: string): Readonly<Record<string, string>> {
  const headers = new Map<string, string>();
  if (type !== undefined) headers.set("content-type", type);
  headers.set("idempotency-key", operationKey);
  if (value !== undefined && value !== null) {
    for (const [name, entry] of Object.entries(objectOf("headers", value))) {
      if (entry === null) headers.delete(name.toLowerCase());
      else headers.set(checkedName(name), checkedValue(name, scalarText(`headers.${name}`, entry)));
    }
  }
  // Bodies are read as they come, so nothing compressed is asked for.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  return Object.fromEntries(headers);
}

function checkedName(name: string): string {
  const lower = name.toLowerCase();
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/.test(lower)) throw bad(`${JSON.stringify(name.slice(0, 100))} is not a header name`);
  if (forbidden.has(lower)) throw bad(`the header ${lower} is set by the connection and cannot be given`);
  return lower;
}

function checkedValue(name: string, value: string): string {
  if (value.length > 16_384 || /[^\t\x20-\x7e\x80-\xff]/.test(value))
    throw bad(`the header ${name} has characters that a header cannot carry, or is too long`);
  return value;
}

function acceptance(value: Json | undefined): (status: number) => boolean {
  if (value === undefined || value === null) return (status) => status !== 408 && status !== 429 && status < 500;
  if (!Array.isArray(value)) throw bad("acceptStatus must be a list of statuses");
  const accepted = new Set((value as readonly Json[]).map(String));
  return (status) => accepted.has(String(status)) || accepted.has(`${Math.floor(status / 100)}xx`);
}
