import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import {
  type Outbound,
  OutboundError,
  type OutboundFault,
  type OutboundRequest,
  type OutboundResponse,
  type OutboundStream,
  type OutboundStreamRequest,
} from "@longhaul/core";
import { Agent, buildConnector, type Dispatcher, request as send } from "undici";
import { addressGuard } from "./address-guard.ts";

export interface GuardedOutboundOptions {
  /** Networks (CIDR) that may be called although they are not public. */
  readonly allow: readonly string[];
  /** Connections per origin; further requests wait. Default 64. */
  readonly connectionsPerOrigin?: number;
  /** How long an unused connection stays open; default 10 s. */
  readonly keepAliveMs?: number;
  /** How long one address may take to connect; default 10 s. */
  readonly connectMs?: number;
  /** Certificate authorities besides the usual ones; PEM. */
  readonly ca?: string;
  /** All addresses of a name. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

export interface GuardedOutbound extends Outbound {
  /** Closes every connection; requests under way fail. */
  close(): Promise<void>;
}

/** Headers that belong to the connection, or that would make the request another one than was checked. */
const ownHeaders = new Set([
  "host",
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * The outside world through undici, behind an address guard that sits in the connector: a name is resolved once, the address is checked and
 * exactly that address is dialled, with the name for TLS and `Host`. Redirects are not followed, nothing is decompressed.
 */
export function guardedOutbound(options: GuardedOutboundOptions): GuardedOutbound {
  const { connectionsPerOrigin = 64, keepAliveMs = 10_000, connectMs = 10_000, ca } = options;
  const resolve =
    options.resolve ?? (async (host) => (await lookup(host, { all: true, order: "ipv4first" })).map((one) => one.address));
  const judge = addressGuard(options.allow);
  const dial = buildConnector({ timeout: connectMs, allowH2: false, ...(ca !== undefined && { ca }) });

  async function addressesOf(host: string): Promise<readonly string[]> {
    const isLiteral = isIP(host) !== 0;
    let found: readonly string[];
    try {
      found = isLiteral ? [host] : await resolve(host);
    } catch (cause) {
      throw new OutboundError("connect_failed", `${host} has no address`, cause);
    }
    if (found.length === 0) throw new OutboundError("connect_failed", `${host} has no address`);
    const allowed = found.flatMap((one) => {
      const verdict = judge(one);
      return verdict.ok ? [verdict.address] : [];
    });
    if (allowed.length > 0) return allowed.slice(0, 4);
    throw new OutboundError(
      "forbidden_address",
      `${host}${isLiteral ? "" : ` has only addresses that`} may not be called; OUTBOUND_ALLOW lists the private networks that may`,
    );
  }

  const agent = new Agent({
    connections: connectionsPerOrigin,
    pipelining: 1,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: 60_000,
    // The total time of a request bounds both, and a slow drip as well.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (target: buildConnector.Options, callback: buildConnector.Callback) => {
      const host = target.hostname.replace(/^\[(.*)\]$/, "$1");
      const tryFrom = (addresses: readonly string[], at: number): void => {
        dial(
          { ...target, hostname: addresses[at] ?? "", ...(isIP(host) === 0 && { servername: target.servername || host }) },
          (...result) => {
            if (result[0] !== null && at + 1 < addresses.length) tryFrom(addresses, at + 1);
            else callback(...result);
          },
        );
      };
      addressesOf(host).then(
        (addresses) => tryFrom(addresses, 0),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
      );
    },
  });

  return {
    request: (request) => requestOnce(agent, request),
    stream: (request) => streamOnce(agent, request),
    close: () => agent.destroy(),
  };
}

async function requestOnce(agent: Dispatcher, request: OutboundRequest): Promise<OutboundResponse> {
  const url = checkUrl(request.url);
  const headers = checkHeaders(request.headers);
  const watch = watchTime(request, url);
  try {
    return await watch.within(sendAndRead(agent, request, { url, headers, signal: watch.signal }));
  } catch (error) {
    throw watch.faultOf(error);
  } finally {
    watch.end();
  }
}

async function streamOnce(agent: Dispatcher, request: OutboundStreamRequest): Promise<OutboundStream> {
  const url = checkUrl(request.url);
  const headers = checkHeaders(request.headers);
  const watch = watchTime(request, url);
  try {
    const answer = await watch.within(sendOnly(agent, request, { url, headers, signal: watch.signal }));
    const { body } = answer;
    // Whoever does not read on must not bring the process down with what goes wrong meanwhile.
    body.on("error", () => {});
    const close = (): void => {
      watch.end();
      body.destroy();
    };
    return {
      status: answer.statusCode,
      headers: joinHeaders(answer.headers),
      body: bounded(body, request.maxResponseBytes, watch, close),
      close,
    };
  } catch (error) {
    watch.end();
    throw watch.faultOf(error);
  }
}

async function* bounded(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
  watch: TimeWatch,
  close: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > maxBytes) throw tooLarge(maxBytes);
      yield chunk;
    }
  } catch (error) {
    throw watch.faultOf(error);
  } finally {
    close();
  }
}

/** The total time of one request, and the signal of whoever asked for it. */
interface TimeWatch {
  /** Aborts when the time is up, or with the request's own signal. */
  readonly signal: AbortSignal;
  /** Undici heeds the signal only once it is connected, so the wait for that is cut here. */
  within<T>(work: Promise<T>): Promise<T>;
  /** What an error of this request is to its caller. */
  faultOf(error: unknown): unknown;
  /** The time no longer counts. */
  end(): void;
}

/** Throws the reason of a signal that has aborted already. */
function watchTime(request: OutboundStreamRequest, url: URL): TimeWatch {
  request.signal?.throwIfAborted();
  const stop = new AbortController();
  const timeout = new OutboundError("timeout", `${url.host} did not answer within ${request.timeoutMs} ms`);
  const timer = setTimeout(() => stop.abort(timeout), request.timeoutMs);
  const onAbort = (): void => stop.abort(request.signal?.reason);
  request.signal?.addEventListener("abort", onAbort);
  return {
    signal: stop.signal,
    within: (work) => Promise.race([work, rejection(stop.signal)]),
    faultOf(error) {
      if (request.signal?.aborted) return request.signal.reason;
      return stop.signal.aborted ? timeout : outboundError(error, url);
    },
    end() {
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", onAbort);
    },
  };
}

interface Checked {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

async function sendAndRead(agent: Dispatcher, request: OutboundRequest, checked: Checked): Promise<OutboundResponse> {
  const answer = await sendOnly(agent, request, checked);
  const body = await readBody(answer, request);
  return { status: answer.statusCode, headers: joinHeaders(answer.headers), body };
}

function sendOnly(
  agent: Dispatcher,
  request: OutboundStreamRequest,
  { url, headers, signal }: Checked,
): Promise<Dispatcher.ResponseData> {
  return send(url, {
    dispatcher: agent,
    // Undici checks the characters of the method itself; its type names only the usual ones.
    method: request.method.toUpperCase() as Dispatcher.HttpMethod,
    headers,
    body: request.body ?? null,
    signal,
  });
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

async function readBody(
  answer: Dispatcher.ResponseData,
  { maxResponseBytes, oversize = "fail" }: OutboundRequest,
): Promise<Uint8Array> {
  const announced = Number(answer.headers["content-length"]);
  if (oversize === "fail" && announced > maxResponseBytes) {
    answer.body.on("error", () => {}).destroy();
    throw tooLarge(maxResponseBytes);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
    if (length + chunk.length > maxResponseBytes) {
      if (oversize === "fail") throw tooLarge(maxResponseBytes);
      chunks.push(chunk.subarray(0, maxResponseBytes - length));
      break;
    }
    chunks.push(chunk);
    length += chunk.length;
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

function tooLarge(maxBytes: number): OutboundError {
  return new OutboundError("response_too_large", `the answer is larger than ${maxBytes} bytes`);
}

function checkUrl(text: string): URL {
  const say = (why: string): OutboundError => new OutboundError("invalid_url", `${shown(text)} ${why}`);
  if (!URL.canParse(text)) throw say("is not an absolute URL");
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw say("is neither http nor https");
  if (url.username !== "" || url.password !== "") throw say("carries credentials; send them in a header");
  if (url.port === "0") throw say("names port 0");
  return url;
}

/** A URL for a message: without what may be secret in it. */
function shown(text: string): string {
  const bare = text.replace(/\/\/[^/]*@/, "//").replace(/[?#].*$/s, "");
  return JSON.stringify(bare.length > 200 ? `${bare.slice(0, 200)}…` : bare);
}

function checkHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  for (const [name, value] of Object.entries(given)) {
    const lower = name.toLowerCase();
    if (ownHeaders.has(lower))
      throw new OutboundError("invalid_url", `the header ${lower} can't be set: it follows from the URL and the body`);
    headers[lower] = value;
  }
  return headers;
}

function joinHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return joined;
}

const faultOfCode: Readonly<Record<string, OutboundFault>> = {
  UND_ERR_INVALID_ARG: "invalid_url",
  UND_ERR_HEADERS_OVERFLOW: "response_too_large",
  UND_ERR_CONNECT_TIMEOUT: "connect_failed",
  ECONNREFUSED: "connect_failed",
  EHOSTUNREACH: "connect_failed",
  ENETUNREACH: "connect_failed",
  ETIMEDOUT: "connect_failed",
  EADDRNOTAVAIL: "connect_failed",
};

function outboundError(error: unknown, url: URL): OutboundError {
  if (error instanceof OutboundError) return error;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const fault = faultOfCode[code] ?? "network";
  const said = error instanceof Error ? error.message : String(error);
  switch (fault) {
    case "invalid_url":
      return new OutboundError(fault, `the request can't be sent: ${said}`, error);
    case "connect_failed":
      return new OutboundError(fault, `can't connect to ${url.host}${code ? ` (${code})` : ""}`, error);
    default:
      return new OutboundError(fault, `the connection to ${url.host} failed${code ? ` (${code})` : ""}`, error);
  }
}
