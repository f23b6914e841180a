import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { type AsyncCall, asyncCall, withCallbackUrl } from "./async-call.ts";
import { isGiven, objectOf, wholeNumberOf } from "./field-values.ts";
import { headerFields } from "./header-fields.ts";
import { type RequestAuth, requestAuth } from "./request-auth.ts";
import { requestBody } from "./request-body.ts";
import { RequestFault } from "./request-fault.ts";
import { requestUrl } from "./request-url.ts";
import { methods } from "./schema.ts";
import { isSecretName } from "./secret-names.ts";
import { type StatusRules, statusRules } from "./status-rules.ts";

/** Most bytes of an answer that a node takes. */
export const maxResponseBytes = 16 * 1024 * 1024;
/** Most bytes of what a service says when it takes a call whose result comes later. */
const maxTakenBytes = 64 * 1024;
/** Pages that a node reads when it does not say. */
export const usualPages = 100;
export const mostPages = 10_000;
export const mostRedirects = 20;

/** One request as any origin may see it. */
export interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | undefined;
}

/** What goes along to the origin of the first request only. */
export interface Credentials {
  readonly origin: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: readonly [name: string, value: string] | undefined;
  /** Texts that no error may show. */
  readonly secrets: readonly string[];
}

export const parseModes = ["auto", "json", "text", "base64", "none"] as const;
export type ParseMode = (typeof parseModes)[number];

/** All that a node asks for, read from its evaluated `with`. */
export interface Plan {
  readonly call: Call;
  readonly credentials: Credentials;
  readonly statuses: StatusRules;
  readonly parse: ParseMode;
  readonly maxBytes: number;
  readonly followRedirects: number;
  /** Undefined where one answer is all. */
  readonly maxPages: number | undefined;
  /** Undefined where the answer itself is the result. */
  readonly callback: AsyncCall | undefined;
}

/** Reads an evaluated `with`; throws RequestFault for what only evaluation could show to be wrong. */
export function buildRequest(input: Json, operationKey: string, callbackUrl: () => string): Plan {
  const given = objectOf("", input);
  const callback = asyncCall(given["async"]);
  if (callback !== undefined && isGiven(given["paginate"]))
    throw new RequestFault(
      "/paginate",
      "async and paginate are given, but a result that comes later has no pages",
      "Keep one of them.",
    );
  const resume = callback === undefined ? undefined : callbackUrl();
  const fields = callback === undefined || resume === undefined ? given : withCallbackUrl(given, callback.urlIn, resume);
  const method = methodOf(fields["method"]);
  const body = requestBody(fields, operationKey);
  const url = requestUrl(fields["url"], fields["query"]);
  const auth = requestAuth(fields["auth"]);
  const headers = headersOf(fields["headers"], body?.type, auth, operationKey);
  const isSecret = (name: string) => isSecretName(name) || name === auth?.header?.[0] || name === callback?.urlIn.header;
  const secret = pick(headers, isSecret);
  return {
    call: { method, url, headers: pick(headers, (name) => !isSecret(name)), body: body?.body },
    credentials: {
      origin: new URL(url).origin,
      headers: secret,
      query: auth?.query,
      secrets: [...Object.values(secret), ...(auth?.secrets ?? []), ...(resume === undefined ? [] : [resume])],
    },
    statuses: statusRules(fields["acceptStatus"], fields["retryStatus"], callback !== undefined),
    parse: parseOf(fields["parse"]),
    maxBytes: Math.min(
      callback === undefined ? maxResponseBytes : maxTakenBytes,
      isGiven(fields["maxBytes"]) ? wholeNumberOf("/maxBytes", fields["maxBytes"], 1, maxResponseBytes) : maxResponseBytes,
    ),
    followRedirects: isGiven(fields["followRedirects"])
      ? wholeNumberOf("/followRedirects", fields["followRedirects"], 0, mostRedirects)
      : 0,
    maxPages: isGiven(fields["paginate"]) ? maxPagesOf(objectOf("/paginate", fields["paginate"])) : undefined,
    callback,
  };
}

/** The method; throws RequestFault for what is none, and for those that no node may use. */
export function methodOf(value: Json | undefined): string {
  if (!isGiven(value)) return "GET";
  if (typeof value === "string" && /^(?!(?:TRACE|CONNECT|PRI)$)[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/.test(value)) return value;
  throw new RequestFault(
    "/method",
    "method must be an HTTP method in capitals, and neither TRACE nor CONNECT",
    `Use ${methods.join(", ")}, or another that the service knows, such as PURGE.`,
  );
}

/** How the answer is read; throws RequestFault. */
export function parseOf(value: Json | undefined): ParseMode {
  if (!isGiven(value)) return "auto";
  const mode = parseModes.find((each) => each === value);
  if (mode !== undefined) return mode;
  throw new RequestFault("/parse", `parse must be one of ${parseModes.join(", ")}`, `Use one of ${parseModes.join(", ")}.`);
}

function maxPagesOf(paginate: JsonObject): number {
  const { maxPages } = paginate;
  return isGiven(maxPages) ? wholeNumberOf("/paginate/maxPages", maxPages, 1, mostPages) : usualPages;
}

function pick(headers: ReadonlyMap<string, string>, wanted: (name: string) => boolean): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].filter(([name]) => wanted(name)));
}

function headersOf(
  value: Json | undefined,
  type: string | undefined,
  auth: RequestAuth | undefined,
  key: string,
): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  if (type !== undefined) headers.set("content-type", type);
  headers.set("idempotency-key", key);
  const given = isGiven(value) ? headerFields(value) : new Map<string, string | null>();
  for (const [name, text] of given) {
    if (text === null) headers.delete(name);
    else headers.set(name, text);
  }
  // Bodies are read as they come, so nothing compressed is asked for.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  if (auth?.header !== undefined) {
    const [name, text] = auth.header;
    if (isGiven(given.get(name)))
      throw new RequestFault(`/headers/${name}`, `the header ${name} is given, and auth sets it too`, "Keep one of them.");
    headers.set(name, text);
  }
  return headers;
}
