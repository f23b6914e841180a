import { OutboundError, type OutboundFault, type OutboundRequest, type OutboundResponse } from "@longhaul/core";
import { type NodeContext, NodeFailure, type Sent } from "../kind.ts";
import type { Call, Credentials, Plan } from "./build-request.ts";
import { type Redirected, redirectOf } from "./redirect.ts";
import { retryAfterMs } from "./retry-after.ts";
import { redacted } from "./secret-names.ts";

/** What all requests of one try share. */
export interface Budget {
  /** Time that is left of the try. */
  leftMs: number;
}

/**
 * Sends a request, follows its redirects as far as the plan says, and answers an accepted response. Throws NodeFailure for anything else, and
 * the signal's reason when aborted.
 */
export async function exchange(
  context: NodeContext,
  plan: Plan,
  call: Call,
  budget: Budget,
  maxBytes: number,
): Promise<OutboundResponse> {
  let current: Redirected = { call, trusted: new URL(call.url).origin === plan.credentials.origin, acted: false };
  for (let hops = 0; ; hops++) {
    const response = await send(context, outgoing(plan, current, budget.leftMs, maxBytes), current.acted, budget);
    const next = plan.followRedirects === 0 ? undefined : redirectOf(current, response);
    if (next === undefined) {
      if (!plan.statuses.accepts(response.status)) throw refusedStatus(response, plan, context.now());
      return response;
    }
    if (hops === plan.followRedirects)
      throw new NodeFailure("http_too_many_redirects", `the service redirected more than ${plan.followRedirects} times`, {
        retryable: false,
        sent: "yes",
      });
    current = next;
  }
}

function outgoing(plan: Plan, { call, trusted }: Redirected, timeoutMs: number, maxBytes: number): OutboundRequest {
  const { method, body } = call;
  // Of an answer that nobody wants, and of a HEAD that announces what it does not send, only the start is read. A call that goes on
  // elsewhere must not fail for what is said beside it.
  const partly = plan.parse === "none" || method === "HEAD";
  return {
    method,
    url: trusted ? withParameter(call.url, plan.credentials) : call.url,
    headers: trusted ? { ...call.headers, ...plan.credentials.headers } : call.headers,
    ...(body === undefined ? {} : { body }),
    timeoutMs,
    maxResponseBytes: partly ? Math.min(maxBytes, errorBytes) : maxBytes,
    ...(partly || plan.callback !== undefined ? { oversize: "truncate" as const } : {}),
  };
}

function withParameter(text: string, { query }: Credentials): string {
  if (query === undefined) return text;
  const url = new URL(text);
  url.searchParams.set(query[0], query[1]);
  return url.href;
}

async function send(
  { outbound, signal, now }: NodeContext,
  request: OutboundRequest,
  acted: boolean,
  budget: Budget,
): Promise<OutboundResponse> {
  const startMs = now();
  try {
    return await outbound.request({ ...request, signal });
  } catch (error) {
    if (signal.aborted || !(error instanceof OutboundError)) throw error;
    throw outboundFailure(error, acted);
  } finally {
    budget.leftMs = Math.max(1, budget.leftMs - Math.max(0, now() - startMs));
  }
}

function outboundFailure(error: OutboundError, acted: boolean): NodeFailure {
  const code = error.fault === "timeout" ? "node_timeout" : `http_${error.fault}`;
  // These three fail again for as long as the workflow stays as it is.
  const lasting = error.fault === "forbidden_address" || error.fault === "invalid_url" || error.fault === "response_too_large";
  return new NodeFailure(code, error.message, {
    retryable: !lasting,
    sent: acted ? "unknown" : sentOf(error.fault),
    cause: error,
  });
}

function sentOf(fault: OutboundFault): Sent {
  switch (fault) {
    case "invalid_url":
    case "forbidden_address":
    case "connect_failed":
      return "no";
    case "response_too_large":
      return "yes";
    case "network":
    case "timeout":
      return "unknown";
  }
}

/** How much of an answer is looked at for a failure's details, and how much of it is shown. */
const errorBytes = 4096;
const shownCharacters = 1024;

function refusedStatus(response: OutboundResponse, { statuses, credentials }: Plan, nowMs: number): NodeFailure {
  const { status, headers } = response;
  const wait = retryAfterMs(headers["retry-after"], nowMs);
  const start = new TextDecoder().decode(response.body.subarray(0, errorBytes));
  return new NodeFailure("http_status", `the service answered ${status}`, {
    retryable: statuses.retries(status),
    sent: "yes",
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
    details: { status, body: withoutSecrets(start, credentials.secrets).slice(0, shownCharacters) },
  });
}

/** Services that show a request in their error page would show its credentials too. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  // The longest first, because one may hold another.
  const known = secrets.filter((secret) => secret !== "").sort((one, other) => other.length - one.length);
  return known.reduce((shown, secret) => shown.replaceAll(secret, redacted), text);
}
