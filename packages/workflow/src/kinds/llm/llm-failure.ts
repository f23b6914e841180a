import type { Json, OutboundError } from "@longhaul/core";
import { objectOf } from "../../expression/json-object.ts";
import type { Connection } from "../connection.ts";
import { retryAfterMs } from "../http/retry-after.ts";
import { NodeFailure, type Sent } from "../kind.ts";
import type { Refusal } from "./guarded-fetch.ts";

/** Characters of what a server says that are shown. */
const shownCharacters = 500;
const longestRetryAfterMs = 86_400_000;

export type LlmCode =
  | "llm_rate_limited"
  | "llm_unavailable"
  | "llm_refused"
  | "llm_cut_short"
  | "llm_bad_answer"
  | "llm_invalid_object";

export function llmFailure(
  code: LlmCode,
  message: string,
  more: {
    readonly retryable: boolean;
    readonly sent: Sent;
    readonly retryAfterMs?: number;
    readonly details?: Readonly<Record<string, Json>>;
    readonly cause?: unknown;
  },
): NodeFailure {
  return new NodeFailure(code, message, more);
}

/** What a status that is not 2xx means. Says what the server said, without what is secret of the connection. */
export function refused({ status, headers, text }: Refusal, connection: Connection, nowMs: number): NodeFailure {
  const said = saidOf(text);
  const shown = clean(said.message, connection);
  const details: Record<string, Json> = { status, ...(shown === "" ? {} : { message: shown }) };
  if (said.code !== undefined) details["code"] = clean(said.code, connection);
  const requestId = headers["x-request-id"];
  if (requestId !== undefined) details["requestId"] = clean(requestId, connection);
  const because = shown === "" ? "" : `: ${shown}`;
  const wait = waitOf(headers, nowMs);
  const more = { sent: "yes" as const, details, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
  // An account without money answers as a busy one does, but no wait helps.
  if (status === 429 && said.code !== "insufficient_quota")
    return llmFailure("llm_rate_limited", `the model server has had too many requests${because}`, { ...more, retryable: true });
  if (status >= 500 || status === 408 || status === 409)
    return llmFailure("llm_unavailable", `the model server answered ${status}${because}`, { ...more, retryable: true });
  if (status < 400)
    return llmFailure(
      "llm_bad_answer",
      `the model server answered ${status}, which is no answer; look at the connection's baseUrl`,
      {
        ...more,
        retryable: false,
      },
    );
  return llmFailure("llm_refused", `the model server refused the request with ${status}${because}`, {
    ...more,
    retryable: false,
  });
}

/** What an error means that came inside of a stream which began well. */
export function refusedLate(error: Json, connection: Connection): NodeFailure {
  const { message, code, type } = objectOf(error);
  const said = clean(
    typeof message === "string" ? message : typeof error === "string" ? error : JSON.stringify(error),
    connection,
  );
  const kinds = [code, type].map(String);
  const details: Record<string, Json> = { message: said };
  if (typeof code === "string" || typeof code === "number") details["code"] = clean(String(code), connection);
  if (kinds.some((kind) => /rate_limit|too_many/.test(kind) || kind === "429"))
    return llmFailure("llm_rate_limited", `the model server broke off: ${said}`, { retryable: true, sent: "yes", details });
  const isFinal = kinds.some((kind) =>
    /invalid_request|context_length|content_filter|insufficient_quota|authentication|permission/.test(kind),
  );
  return isFinal
    ? llmFailure("llm_refused", `the model server broke off: ${said}`, { retryable: false, sent: "yes", details })
    : llmFailure("llm_unavailable", `the model server broke off: ${said}`, { retryable: true, sent: "yes", details });
}

/** What it means that the connection failed; `begun` once something of the answer had come. */
export function unreachable(fault: OutboundError, begun: boolean): NodeFailure {
  const sent = sentOf(fault);
  switch (fault.fault) {
    case "forbidden_address":
    case "invalid_url":
      return llmFailure("llm_unavailable", fault.message, { retryable: false, sent, cause: fault });
    case "response_too_large":
      return llmFailure("llm_bad_answer", fault.message, { retryable: false, sent, cause: fault });
    default:
      return begun
        ? llmFailure("llm_cut_short", `the answer broke off: ${fault.message}`, { retryable: true, sent, cause: fault })
        : llmFailure("llm_unavailable", fault.message, { retryable: true, sent, cause: fault });
  }
}

function sentOf({ fault }: OutboundError): Sent {
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

interface Said {
  readonly message: string;
  readonly code: string | undefined;
}

/** The words of an error answer, whichever of the usual forms it has. */
function saidOf(text: string): Said {
  const body = objectOf(jsonOf(text));
  const error = body["error"];
  const inner = objectOf(error);
  const message = [inner["message"], error, body["message"], body["detail"]].find((each) => typeof each === "string");
  const code = [inner["code"], inner["type"], body["code"]].find((each) => typeof each === "string");
  const plain = /^\s*[<{[]/.test(text) ? "" : text;
  return { message: typeof message === "string" ? message : plain, code: typeof code === "string" ? code : undefined };
}

function jsonOf(text: string): Json {
  try {
    const value: Json = JSON.parse(text);
    return value;
  } catch {
    return null;
  }
}

/** One line of bounded length, without key and header values of the connection, should the server repeat them. */
export function clean(text: string, { apiKey, headers }: Pick<Connection, "apiKey" | "headers">): string {
  const secrets = [...(apiKey === undefined ? [] : [apiKey]), ...Object.values(headers)]
    .filter((secret) => secret.length >= 4)
    .sort((one, other) => other.length - one.length);
  const bare = secrets.reduce((shown, secret) => shown.replaceAll(secret, "[redacted]"), text);
  const line = bare.replace(/\s+/g, " ").trim();
  return line.length > shownCharacters ? `${line.slice(0, shownCharacters)}…` : line;
}

/** `retry-after-ms` is what some servers send beside `retry-after`, and finer. */
function waitOf(headers: Readonly<Record<string, string>>, nowMs: number): number | undefined {
  const exact = headers["retry-after-ms"];
  const ms =
    exact !== undefined && /^\d{1,9}(\.\d{1,9})?$/.test(exact.trim())
      ? Number(exact)
      : retryAfterMs(headers["retry-after"], nowMs);
  return ms === undefined ? undefined : Math.min(Math.ceil(ms), longestRetryAfterMs);
}
