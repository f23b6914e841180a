import { createServer, STATUS_CODES } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { Duplex } from "node:stream";
import { LonghaulError } from "@longhaul/core";
import {
  type AnyHandler,
  type AnyRequest,
  type AnyResponse,
  http2Limits,
  type OnePort,
  onePort,
  type RpcHandler,
} from "@longhaul/shared";
import type { Admission } from "../auth/origin-guard.ts";
import { type ProblemMore, problemAnswer } from "./problem.ts";

/** The longest path and query that are read. */
export const maxUrlLength = 8_192;

export interface FrontOptions {
  readonly host: string;
  readonly port: number;
  readonly admit: (method: string, headers: AnyRequest["headers"]) => Admission;
  readonly rpc: RpcHandler;
  /** Everything that is no call. */
  readonly http: AnyHandler;
  /** How long a request may take to arrive; default 60 s. */
  readonly requestTimeoutMs?: number;
  /** How long its head may take; default 15 s. */
  readonly headersTimeoutMs?: number;
}

/** The one port: admits a request or refuses it, then hands it to the RPC handler or to the HTTP API by its path. */
export function front({
  host,
  port,
  admit,
  rpc,
  http,
  requestTimeoutMs = 60_000,
  headersTimeoutMs = 15_000,
}: FrontOptions): OnePort {
  const handle: AnyHandler = (req, res) => {
    const url = req.url ?? "";
    if (req.httpVersion === "1.1" && req.headers.host === undefined) {
      answer(res, new LonghaulError("invalid_argument", "the host header is missing"), { headers: { connection: "close" } });
      return;
    }
    if (url.length > maxUrlLength) {
      answer(res, new LonghaulError("too_large", `the URL is longer than ${maxUrlLength} characters`), { status: 414 });
      return;
    }
    const admission = admit(req.method ?? "", req.headers);
    switch (admission.kind) {
      case "refused":
        answer(res, admission.why, { instance: url.split("?", 1)[0] ?? "" });
        return;
      case "preflight":
        write(res, 204, admission.headers);
        return;
      case "admitted":
        for (const name in admission.headers) res.setHeader(name, admission.headers[name] ?? "");
        res.setHeader("x-content-type-options", "nosniff");
        (rpc.handles(url) ? rpc.handle : http)(req, res);
    }
  };
  const http1 = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: headersTimeoutMs,
      keepAliveTimeout: 75_000,
      connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs),
      maxHeaderSize: 16_384,
      // Answered above, with a problem.
      requireHostHeader: false,
    },
    handle,
  );
  // Expectations that nobody knows may be ignored; Node would answer 417 without a body.
  http1.on("checkExpectation", handle);
  http1.on("clientError", refuseConnection);
  const http2 = createHttp2Server(
    { ...http2Limits, settings: { ...http2Limits.settings, maxHeaderListSize: 16_384 } },
    (req, res) => {
      // HTTP/1.1 has this as requestTimeout.
      if (!req.complete) {
        const timer = setTimeout(() => req.stream.close(), requestTimeoutMs);
        const clear = (): void => clearTimeout(timer);
        req.once("end", clear);
        req.once("close", clear);
      }
      handle(req, res);
    },
  );
  return { ...onePort({ host, port, http1, http2 }), name: "http server" };
}

function answer(res: AnyResponse, error: LonghaulError, more: ProblemMore): void {
  const { status, headers, body } = problemAnswer(error, more);
  write(res, status, headers, body);
}

// The two kinds of response have the same methods, but no signature in common that the compiler could call.
function write(res: AnyResponse, status: number, headers: Readonly<Record<string, string>>, body = ""): void {
  res.statusCode = status;
  for (const name in headers) res.setHeader(name, headers[name] ?? "");
  res.end(body);
}

/** Answers what is not even HTTP, or came too slowly, then hangs up. */
function refuseConnection(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, known } = connectionFault(error.code);
  const { headers, body } = problemAnswer(known, { status });
  const lines = Object.entries({ ...headers, connection: "close", "content-length": String(Buffer.byteLength(body)) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
}

function connectionFault(code: string | undefined): { readonly status: number; readonly known: LonghaulError } {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return { status: 431, known: new LonghaulError("too_large", "the headers are larger than 16 KiB together") };
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { status: 408, known: new LonghaulError("invalid_argument", "the request took too long to arrive") };
    default:
      return { status: 400, known: new LonghaulError("invalid_argument", "the request is not valid HTTP") };
  }
}
