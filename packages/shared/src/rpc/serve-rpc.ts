import { setMaxListeners } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { type OnePort, onePort } from "./one-port.ts";
import { type AnyHandler, type RpcHandlerOptions, rpcHandler } from "./rpc-handler.ts";

export interface ServeRpcOptions extends Omit<RpcHandlerOptions, "draining" | "fallback"> {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** HTTP/2 settings of every server: room for messages up to the limit, and for many streams that wait. */
export const http2Limits = {
  maxSessionMemory: 256,
  settings: { initialWindowSize: 1_048_576, maxConcurrentStreams: 4_096 },
} as const;

/**
 * A service's server: Connect, gRPC and gRPC-Web over cleartext HTTP/2 and over HTTP/1.1 on one port, with health, reflection, `GET /livez`
 * and `GET /readyz`. Draining takes no more connections, ends streamed answers, and lets calls under way finish.
 */
export function serveRpc({ host, port, ...options }: ServeRpcOptions): OnePort {
  const draining = new AbortController();
  // Every stream that is open listens to it; that is no leak.
  setMaxListeners(0, draining.signal);
  const { handle } = rpcHandler({ ...options, draining: draining.signal, fallback: probes(options.ready.isReady) });
  const http1 = createServer({ requestTimeout: 60_000, headersTimeout: 20_000 }, handle);
  const http2 = createHttp2Server(http2Limits, handle);
  const open = onePort({ host, port, http1, http2 });
  return {
    ...open,
    name: "rpc server",
    drain(deadline) {
      draining.abort();
      return open.drain(deadline);
    },
    stop() {
      draining.abort();
      return open.stop();
    },
  };
}

function probes(isReady: () => boolean): AnyHandler {
  return (req, res) => {
    const path = req.url?.split("?", 1)[0];
    const ok = path === "/livez" || (path === "/readyz" && isReady());
    res.statusCode = ok ? 200 : path === "/readyz" ? 503 : 404;
    res.setHeader("content-type", "text/plain; charset=utf-8");
    res.end(ok ? "ok\n" : path === "/readyz" ? "not ready\n" : "not found\n");
  };
}
