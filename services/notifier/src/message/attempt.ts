import {
  type Delivery,
  LonghaulError,
  type Outbound,
  OutboundError,
  type OutboundRequest,
  type OutboundResponse,
} from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import type { AttemptFacts, Verdict } from "../delivery/after-attempt.ts";
import { version } from "../version.ts";
import { retryAfterMs } from "./retry-after.ts";
import { signatureHeader } from "./sign.ts";

/** What one attempt says of its receiver: it answers, it does not (or can't keep up), or nothing was learnt. */
export type Sign = "alive" | "sick" | "none";

export interface AttemptOutcome {
  readonly facts: AttemptFacts;
  readonly verdict: Verdict;
  readonly sign: Sign;
}

export interface AttemptDeps {
  readonly outbound: Outbound;
  /** Opens sealed secrets and header values. */
  readonly open: (sealed: string) => string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  /** Total time of the attempt. */
  readonly timeoutMs: number;
}

const answerBytesRead = 65_536;
const answerBytesKept = 1_024;
const longestError = 500;

/** Headers of a user that would change what is signed or how it is framed. */
const reserved = /^(?:webhook-.*|content-.*|host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect)$/;

/**
 * Posts a message once and says what came of it; never rejects, except with the signal's reason when `signal` aborts: then it is not known
 * whether the message arrived.
 */
export async function attempt(deps: AttemptDeps, delivery: Delivery, signal: AbortSignal): Promise<AttemptOutcome> {
  const time = deps.now();
  const facts = (status: number, error: string, responseStart = ""): AttemptFacts => ({
    time,
    status,
    latencyMs: Math.max(0, Math.round(deps.now() - time)),
    error: error.slice(0, longestError),
    responseStart,
  });
  let request: OutboundRequest;
  try {
    request = requestOf(deps, delivery, time, signal);
  } catch (error) {
    // Nothing was sent, so nothing is said of the receiver. An operator can mend this (SECRET_KEY) while the retries last.
    deps.log.error({ err: error, deliveryId: delivery.id }, "webhook message can't be made");
    const why = error instanceof LonghaulError ? error.message : "it can't be put together";
    return { facts: facts(0, `The message was not sent: ${why}.`), verdict: { kind: "failed", retryAfterMs: 0 }, sign: "none" };
  }
  try {
    const answer = await deps.outbound.request(request);
    const judged = judgeAnswer(answer, deps.now());
    return { ...judged, facts: facts(answer.status, judged.error, startOf(answer.body)) };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!(error instanceof OutboundError)) {
      deps.log.error({ err: error, deliveryId: delivery.id }, "webhook attempt broke");
      return { facts: facts(0, "The message could not be sent."), verdict: { kind: "failed", retryAfterMs: 0 }, sign: "none" };
    }
    const isHopeless = error.fault === "invalid_url" || error.fault === "forbidden_address";
    return {
      facts: facts(0, sentence(error.message)),
      verdict: isHopeless ? { kind: "hopeless" } : { kind: "failed", retryAfterMs: 0 },
      sign: isHopeless ? "none" : "sick",
    };
  }
}

function requestOf(deps: AttemptDeps, delivery: Delivery, time: number, signal: AbortSignal): OutboundRequest {
  // Signed and sent are the very same bytes.
  const body = Buffer.from(delivery.body, "utf8");
  const secrets = delivery.sealedSecrets.map(deps.open);
  const timestamp = Math.floor(time / 1_000);
  const headers: Record<string, string> = { "user-agent": `Longhaul/${version}` };
  for (const [name, sealed] of Object.entries(delivery.sealedHeaders)) {
    const lower = name.toLowerCase();
    if (!reserved.test(lower)) headers[lower] = deps.open(sealed);
  }
  headers["content-type"] = "application/json";
  headers["webhook-id"] = delivery.id;
  headers["webhook-timestamp"] = String(timestamp);
  if (secrets.length > 0) headers["webhook-signature"] = signatureHeader({ id: delivery.id, timestamp, body }, secrets);
  return {
    method: "POST",
    url: delivery.url,
    headers,
    body,
    timeoutMs: deps.timeoutMs,
    maxResponseBytes: answerBytesRead,
    oversize: "truncate",
    signal,
  };
}

function judgeAnswer({ status, headers }: OutboundResponse, now: number): { verdict: Verdict; sign: Sign; error: string } {
  if (status >= 200 && status < 300) return { verdict: { kind: "delivered" }, sign: "alive", error: "" };
  if (status === 410) {
    return {
      verdict: { kind: "hopeless" },
      sign: "alive",
      error: "The receiver answered 410: it wants no more of these messages.",
    };
  }
  if (status >= 300 && status < 400) {
    const error = `The receiver answered ${status}, a redirect, which is not followed; give the final URL.`;
    return { verdict: { kind: "failed", retryAfterMs: 0 }, sign: "alive", error };
  }
  const asked = status === 429 || status === 503 ? retryAfterMs(headers["retry-after"], now) : 0;
  const isSick = status >= 500 || status === 429 || status === 408;
  return {
    verdict: { kind: "failed", retryAfterMs: asked },
    sign: isSick ? "sick" : "alive",
    error: `The receiver answered ${status}.`,
  };
}

/** The first bytes as text; a character that is cut at the end is left out, and what is not UTF-8 is replaced. */
function startOf(body: Uint8Array): string {
  const isCut = body.length > answerBytesKept;
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(body.subarray(0, answerBytesKept), { stream: isCut });
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
