import type { IncomingHttpHeaders } from "node:http";
import { cors } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { isLoopbackHost } from "@longhaul/shared";

export interface OriginRules {
  /** Origins whose pages may call, such as `https://app.example.com`; `*` stands for all. */
  readonly allowed: readonly string[];
  /** True when there are no keys: then only requests that name a loopback host are answered, or any web page could call by DNS rebinding. */
  readonly isLoopbackOnly: boolean;
}

/** What to do with a request before anything else looks at it. */
export type Admission =
  | { readonly kind: "admitted"; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "preflight"; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "refused"; readonly why: LonghaulError };

const nothing: Admission = { kind: "admitted", headers: {} };
const requestHeaders = [
  ...cors.allowedHeaders,
  "Authorization",
  "X-Api-Key",
  "Idempotency-Key",
  "Prefer",
  "If-None-Match",
  "Last-Event-ID",
].join(", ");
const answerHeaders = [
  ...cors.exposedHeaders,
  "ETag",
  "Location",
  "Retry-After",
  "Preference-Applied",
  "Idempotent-Replayed",
].join(", ");

/** Guards against web pages: the ones of other origins are refused unless they are allowed, those that are get the CORS headers. */
export function originGuard({
  allowed,
  isLoopbackOnly,
}: OriginRules): (method: string, headers: IncomingHttpHeaders) => Admission {
  const origins = new Set(allowed.map((origin) => origin.toLowerCase().replace(/\/$/, "")));
  return (method, headers) => {
    const host = authorityOf(headers);
    if (isLoopbackOnly && !isLoopbackName(host)) {
      return refuse("this server answers only requests to a loopback name such as localhost; set API_KEYS to serve other names");
    }
    const { origin } = headers;
    if (origin === undefined) {
      // Pages load images, scripts and the like without an Origin; following a link is harmless.
      const site = headers["sec-fetch-site"];
      const isForeign = (site === "cross-site" || site === "same-site") && headers["sec-fetch-mode"] !== "navigate";
      return isForeign ? refuse("requests from pages of other sites are refused") : nothing;
    }
    if (!origins.has("*") && !origins.has(origin.toLowerCase())) {
      if (isSameOrigin(origin, host)) return nothing;
      return refuse("requests from pages of this origin are refused; CORS_ORIGINS lists the origins that may call");
    }
    const shared = { "access-control-allow-origin": origins.has("*") ? "*" : origin, vary: "Origin" };
    if (method === "OPTIONS" && headers["access-control-request-method"] !== undefined) {
      return {
        kind: "preflight",
        headers: {
          ...shared,
          "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
          "access-control-allow-headers": requestHeaders,
          "access-control-max-age": "7200",
        },
      };
    }
    return { kind: "admitted", headers: { ...shared, "access-control-expose-headers": answerHeaders } };
  };
}

function refuse(why: string): Admission {
  return { kind: "refused", why: new LonghaulError("permission_denied", why) };
}

function authorityOf(headers: IncomingHttpHeaders): string {
  const authority = headers[":authority"];
  return (typeof authority === "string" ? authority : undefined) ?? headers.host ?? "";
}

const maxKnown = 64;
const known = new Map<string, boolean>();

/** Clients send the same few names with every request, so the last ones are remembered. */
function isLoopbackName(authority: string): boolean {
  const found = known.get(authority);
  if (found !== undefined) return found;
  const isLoopback = judgeName(authority);
  if (known.size >= maxKnown) known.clear();
  known.set(authority, isLoopback);
  return isLoopback;
}

function judgeName(authority: string): boolean {
  const name = /^(\[[0-9a-fA-F:.]+\]|[^:[\]@/\\]+)(?::\d{1,5})?$/.exec(authority)?.[1]?.toLowerCase();
  return name !== undefined && (isLoopbackHost(name) || name.endsWith(".localhost"));
}

/** The scheme is left out of account, because TLS may end before this server. */
function isSameOrigin(origin: string, authority: string): boolean {
  return URL.canParse(origin) && authority !== "" && new URL(origin).host === authority.toLowerCase().replace(/:(80|443)$/, "");
}
