import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { until } from "./until.ts";

/** One call that came from a node. */
export interface OutsideCall {
  readonly path: string;
  /** Of the Idempotency-Key header: the same for every try of one node in one task. */
  readonly key: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** True once the caller hung up before it had an answer. */
  readonly aborted: () => boolean;
  readonly response: ServerResponse;
}

/** The world that workflows call: counts what was done, once per operation key, as a payment service would. */
export interface Outside {
  readonly url: string;
  readonly calls: readonly OutsideCall[];
  /** Distinct operation keys of the calls to this path. */
  keysOf(path: string): ReadonlySet<string>;
  /** Resolves with the call once there is one that matches. */
  called(match: (call: OutsideCall) => boolean, withinMs?: number): Promise<OutsideCall>;
  /** Resolves once its caller has hung up. */
  hungUp(call: OutsideCall, withinMs?: number): Promise<void>;
  /** Answers every call to a path that begins like this in another way from now on; undefined for not at all (until `let go`). */
  answer(prefix: string, handler: (call: OutsideCall) => unknown | Promise<unknown>): void;
  stop(): Promise<void>;
}

/** What a handler returns when it answers later, or never. */
export const silence = Symbol("no answer");

/** Answers `{ path, body }` unless told otherwise. Paths under `/hold` are never answered. */
export async function outside(): Promise<Outside> {
  const calls: OutsideCall[] = [];
  const handlers: { readonly prefix: string; readonly handler: (call: OutsideCall) => unknown | Promise<unknown> }[] = [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("error", () => {});
    req.on("end", () => void take(req, res, Buffer.concat(chunks).toString()));
  });
  async function take(req: IncomingMessage, res: ServerResponse, body: string): Promise<void> {
    let aborted = false;
    res.once("close", () => {
      aborted = !res.writableFinished;
    });
    const path = req.url ?? "";
    const call = {
      path,
      key: String(req.headers["idempotency-key"] ?? ""),
      headers: req.headers,
      body,
      aborted: () => aborted,
      response: res,
    };
    calls.push(call);
    const found = handlers.findLast((one) => path.startsWith(one.prefix));
    const answer = found ? await found.handler(call) : path.startsWith("/hold") ? silence : { path, body };
    if (answer === silence || res.destroyed) return;
    if (typeof answer === "number") res.writeHead(answer).end();
    else res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${at.port}`,
    calls,
    keysOf: (path) => new Set(calls.filter((call) => call.path === path).map((call) => call.key)),
    called: (match, withinMs) => until(() => calls.find(match), withinMs, "the call from outside"),
    async hungUp(call, withinMs) {
      await until(() => call.aborted(), withinMs, "the end of the connection");
    },
    answer(prefix, handler) {
      handlers.push({ prefix, handler });
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
