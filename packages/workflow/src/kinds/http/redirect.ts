import type { OutboundResponse } from "@longhaul/core";
import { NodeFailure } from "../kind.ts";
import type { Call } from "./build-request.ts";
import { RequestFault } from "./request-fault.ts";
import { httpUrl } from "./request-url.ts";

/** A request on its way through redirects. */
export interface Redirected {
  readonly call: Call;
  /** True while every hop so far went to the origin that the credentials are for. */
  readonly trusted: boolean;
  /** True when a request that may have changed something was answered on the way. */
  readonly acted: boolean;
}

const followed: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const safe: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** The next hop that an answer asks for; undefined where it asks for none. Throws NodeFailure where it leads nowhere that may be called. */
export function redirectOf({ call, trusted, acted }: Redirected, { status, headers }: OutboundResponse): Redirected | undefined {
  const location = headers["location"];
  if (!followed.has(status) || location === undefined) return undefined;
  const url = locationUrl(location, call.url);
  const becomesGet = status === 303 ? call.method !== "GET" && call.method !== "HEAD" : call.method === "POST" && status < 303;
  return {
    call: becomesGet
      ? { method: "GET", url: url.href, headers: withoutContent(call.headers), body: undefined }
      : { ...call, url: url.href },
    trusted: trusted && url.origin === new URL(call.url).origin,
    acted: acted || (becomesGet && !safe.has(call.method)),
  };
}

function locationUrl(location: string, base: string): URL {
  try {
    return httpUrl("", location, base);
  } catch (error) {
    if (!(error instanceof RequestFault)) throw error;
    throw new NodeFailure("http_bad_redirect", "the service redirects to what is no http or https URL without a user", {
      retryable: false,
      sent: "yes",
      cause: error,
    });
  }
}

function withoutContent(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("content-")));
}
