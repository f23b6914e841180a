import { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { DescService } from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import { type ConnectNodeAdapterOptions, connectNodeAdapter } from "@connectrpc/connect-node";
import type { Readiness } from "../lifecycle/readiness.ts";
import type { Logger } from "../log/logger.ts";
import { serveHealth } from "./health.ts";
import { answerErrors, endStreamsWhen, requireInternalToken } from "./interceptors.ts";
import { messageDepth } from "./message-codec.ts";
import { serveReflection } from "./reflection.ts";
import { type ServedService, unaryHandler } from "./unary-handler.ts";

/** Listens to requests of `node:http` and of `node:http2` alike. */
export type AnyHandler = NonNullable<ConnectNodeAdapterOptions["fallback"]>;
export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = Parameters<AnyHandler>[1];

export interface RpcHandlerOptions {
  /** Registers the services: `(router) => { router.service(TaskService, impl) }`. */
  readonly routes: (router: ConnectRouter) => void;
  readonly ready: Readiness;
  readonly log: Logger;
  /** When set, calls without it are refused; health and reflection stay open. */
  readonly token?: string;
  /** Largest message read; default 24 MiB. */
  readonly maxBytes?: number;
  /** Run inside the error mapping, before the method. */
  readonly interceptors?: readonly Interceptor[];
  /** Ends streamed answers when it aborts. */
  readonly draining?: AbortSignal;
  /** What answers requests that are no calls; default 404. */
  readonly fallback?: AnyHandler;
}

export interface RpcHandler {
  /** Answers Connect, gRPC and gRPC-Web over HTTP/1.1 and HTTP/2. */
  readonly handle: AnyHandler;
  /** Whether the path (`/package.Service/Method`, a query is ignored) is a call that `handle` answers. */
  handles(url: string | undefined): boolean;
}

/** One request handler for the given services, health and reflection. */
export function rpcHandler(options: RpcHandlerOptions): RpcHandler {
  const { routes, ready, log, token, maxBytes = 25_165_824, interceptors = [], draining, fallback = notFound } = options;
  const served = servicesOf(routes);
  const services = served.map(({ service }) => service);
  const allRoutes = (router: ConnectRouter): void => {
    routes(router);
    serveHealth(router, ready, new Set(services.map((service) => service.typeName)));
    serveReflection(router, services);
  };
  const open = new Set([
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
  const paths = new Set(pathsOf(allRoutes));
  const general = connectNodeAdapter({
    routes: allRoutes,
    fallback,
    readMaxBytes: maxBytes,
    binaryOptions: { recursionLimit: messageDepth },
    jsonOptions: { recursionLimit: messageDepth },
    // Between services on one network compressing costs more than it saves; clients outside may ask for it at a proxy.
    compressMinBytes: 65_536,
    interceptors: [
      answerErrors(log),
      ...(token === undefined ? [] : [requireInternalToken(token, open)]),
      ...(draining ? [endStreamsWhen(draining)] : []),
      ...interceptors,
    ],
  });
  // Whatever has interceptors of its own goes through them.
  const quick = interceptors.length === 0 ? unaryHandler(served, { token, maxBytes, log }) : () => false;
  const handle: AnyHandler = (req, res) => {
    if (req instanceof IncomingMessage && res instanceof ServerResponse && quick(req, res)) return;
    general(req, res);
  };
  return { handle, handles: (url = "") => paths.has(url.split("?", 1)[0] ?? "") };
}

function servicesOf(routes: (router: ConnectRouter) => void): readonly ServedService[] {
  const services: ServedService[] = [];
  const router = createConnectRouter();
  const spy: ConnectRouter = {
    ...router,
    service<S extends DescService>(service: S, impl: Partial<ServiceImpl<S>>) {
      services.push({ service, impl });
      router.service(service, impl);
      return spy;
    },
  };
  routes(spy);
  return services;
}

function pathsOf(routes: (router: ConnectRouter) => void): readonly string[] {
  const router = createConnectRouter();
  routes(router);
  return router.handlers.map((handler) => handler.requestPath);
}

const notFound: AnyHandler = (_req, res) => {
  res.statusCode = 404;
  res.end();
};
