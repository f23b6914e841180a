import type { IncomingMessage } from "node:http";
import type { Message } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { type Logger, projectHeader } from "@longhaul/shared";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Authenticate, HeaderReader } from "../auth/api-keys.ts";
import { type PublicService, streamCall, type UnaryCall, unaryCall } from "../clients.ts";
import { withoutBackends } from "../hide-backends.ts";
import { type ByteBudget, parseBodies } from "./bodies.ts";
import { callTimeout } from "./call-timeout.ts";
import { type EventStreamOptions, eventFormat, writeEvents } from "./event-stream.ts";
import { type ProblemMore, problemAnswer } from "./problem.ts";
import { type RawRequest, readRequest, relativeToBody } from "./read-request.ts";
import type { HttpRoute } from "./route-table.ts";
import { type SubmitDeps, submitOverHttp } from "./submit-over-http.ts";
import { type Answer, writeAnswer } from "./write-answer.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The authenticated project; empty on pages that are open to all. */
    project: string;
  }
}

/** A page that is no method: always GET, open to all. */
export interface Page {
  readonly path: string;
  readonly answer: () => Answer | Promise<Answer>;
}

export interface HttpAppOptions {
  readonly services: readonly PublicService[];
  readonly routes: readonly HttpRoute[];
  readonly submit: SubmitDeps;
  readonly pages: readonly Page[];
  readonly authenticate: Authenticate;
  readonly budget: ByteBudget;
  readonly maxBodyBytes: number;
  readonly log: Logger;
  /** Ends event streams when it aborts: their readers connect again, elsewhere. */
  readonly draining: AbortSignal;
  readonly events?: EventStreamOptions;
}

/** The native HTTP API: a Fastify app whose routes come from the descriptors. It does not listen. */
export function httpApp(options: HttpAppOptions): FastifyInstance {
  const { services, routes, submit, pages, authenticate, budget, maxBodyBytes, log, draining, events } = options;
  const app = fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    return503OnClosing: false,
    requestIdHeader: false,
    genReqId: () => "",
    exposeHeadRoutes: false,
    // The query string is read from the URL, with the method's descriptor at hand.
    routerOptions: { maxParamLength: 4_096, querystringParser: () => ({}) },
    frameworkErrors: (error, request, reply) => sendProblem(request, reply, badUrl(error)),
  });
  app.decorateRequest("project", "");
  parseBodies(app, { budget, maxBodyBytes });
  app.setErrorHandler((error, request, reply) => sendError(request, reply, error, log));
  app.setNotFoundHandler(
    notFoundHandler([...routes, ...pages.map(({ path }) => ({ verb: "GET" as const, path: { pattern: literal(path) } }))]),
  );

  const onRequest = (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => {
    try {
      request.project = authenticate(headerReader(request));
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error("the caller could not be told apart"));
    }
  };
  for (const route of routes) {
    const service = services.find((one) => one.service.typeName === route.service.typeName);
    if (!service) throw new Error(`no client for ${route.service.typeName}`);
    const handler = handlerOf(route, service);
    const guard = route.dress.open ? {} : { onRequest };
    app.route({ method: route.verb === "GET" ? ["GET", "HEAD"] : route.verb, url: route.path.route, handler, ...guard });
  }
  for (const { path, answer } of pages) {
    app.route({ method: ["GET", "HEAD"], url: path, handler: async (request, reply) => send(request, reply, await answer()) });
  }
  return app;

  function handlerOf(route: HttpRoute, service: PublicService) {
    if (route.method.methodKind === "server_streaming") return streamHandler(route, service, draining, events);
    if (route.service.typeName === "longhaul.v1.TaskService" && route.method.name === "Submit" && route.isPrimary) {
      return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
        const header = headerReader(request);
        const { query, body } = rawRequest(request);
        if (query !== "") throw new LonghaulError("invalid_argument", "this request takes no query parameters");
        // A drain ends the wait, not the submit: the answer is then the task as it was accepted.
        const callOptions = (): CallOptions => optionsOf(request, goneSignal(reply, draining));
        return send(request, reply, await submitOverHttp(submit, { project: request.project, body, header, callOptions }));
      };
    }
    const call = unaryCall(service, route.method);
    return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const raw = rawRequest(request);
      const message = readRequest(route, raw);
      const timeoutMs = callTimeout(route.method.input, message);
      const response = await (timeoutMs === undefined
        ? call(message, optionsOf(request, goneSignal(reply)))
        : callWaiting(call, message, { request, reply, draining, timeoutMs })
      ).catch((error: unknown) => {
        throw relativeToBody(route, error);
      });
      return send(request, reply, writeAnswer(route, response, raw.header));
    };
  }
}

interface Waiting {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly draining: AbortSignal;
  readonly timeoutMs: number;
}

/** A call that may wait long; a drain cuts the wait short and has the present state answered. */
async function callWaiting(
  call: UnaryCall,
  message: Message,
  { request, reply, draining, timeoutMs }: Waiting,
): Promise<Message> {
  try {
    return await call(message, { ...optionsOf(request, goneSignal(reply, draining)), timeoutMs });
  } catch (error) {
    if (!draining.aborted || reply.raw.destroyed) throw error;
    Reflect.deleteProperty(message, "wait");
    return call(message, optionsOf(request, goneSignal(reply)));
  }
}

function streamHandler(route: HttpRoute, service: PublicService, draining: AbortSignal, events: EventStreamOptions | undefined) {
  const call = streamCall(service, route.method);
  const format = eventFormat(route.method.output);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const message = readRequest(route, rawRequest(request));
    const gone = goneSignal(reply);
    // Not AbortSignal.any: what it makes of a signal that lives as long as the process is not let go of in time.
    const over = new AbortController();
    const end = (): void => over.abort();
    gone.addEventListener("abort", end);
    draining.addEventListener("abort", end);
    if (gone.aborted || draining.aborted) end();
    try {
      const messages = call(message, optionsOf(request, over.signal));
      const isHead = request.method === "HEAD";
      await writeEvents({ messages, format, res: reply.raw, gone, isHead, headers: cleanHeaders(reply) }, events);
      reply.hijack();
    } finally {
      draining.removeEventListener("abort", end);
      end();
    }
  };
}

/** Headers set so far by hooks. Those set on the raw answer (CORS) are in place already. */
function cleanHeaders(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(
    Object.entries(reply.getHeaders()).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}

/** Aborts when the caller hangs up before the answer is complete or, where given, when `draining` does. */
function goneSignal(reply: FastifyReply, draining?: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const { raw } = reply;
  const abort = (): void => controller.abort();
  if (raw.destroyed || draining?.aborted) abort();
  draining?.addEventListener("abort", abort);
  raw.once("close", () => {
    draining?.removeEventListener("abort", abort);
    if (!raw.writableFinished) abort();
  });
  return controller.signal;
}

function optionsOf(request: FastifyRequest, signal: AbortSignal): CallOptions {
  return { headers: { [projectHeader]: request.project }, signal };
}

export function headerReader(request: { readonly headers: IncomingMessage["headers"] }): HeaderReader {
  return (name) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
}

function rawRequest(request: FastifyRequest): RawRequest {
  const url = request.raw.url ?? "";
  const cut = url.indexOf("?");
  const params = request.params as Readonly<Record<string, string>>;
  const body = request.body as RawRequest["body"];
  return { params, query: cut < 0 ? "" : url.slice(cut + 1), body, header: headerReader(request) };
}

function send(request: FastifyRequest, reply: FastifyReply, { status, headers, body }: Answer): FastifyReply {
  // Past Fastify: it would add a charset to text, which JSON types do not have, and head and body as one text are one buffer to write.
  reply.hijack();
  const { raw } = reply;
  const hasLength = status !== 204 && status !== 304;
  const text = body ?? "";
  raw.writeHead(status, hasLength ? { "content-length": Buffer.byteLength(text), ...headers } : headers);
  raw.end(request.method === "HEAD" ? "" : text);
  return reply;
}

function sendError(request: FastifyRequest, reply: FastifyReply, error: unknown, log: Logger): FastifyReply {
  const { known, more } = knownError(withoutBackends(error));
  if (known.code === "internal")
    log.error({ err: known.cause ?? error, method: request.method, path: shownPath(request) }, "request failed");
  return sendProblem(request, reply, known, more);
}

function sendProblem(request: FastifyRequest, reply: FastifyReply, error: LonghaulError, more: ProblemMore = {}): FastifyReply {
  const { status, headers, body } = problemAnswer(error, { instance: shownPath(request), ...more });
  return send(request, reply, { status, headers, body });
}

function pathOf(request: FastifyRequest): string {
  return (request.raw.url ?? "").split("?", 1)[0] ?? "";
}

/** The path as it may be shown and logged: where it carries a credential itself, without that. */
function shownPath(request: FastifyRequest): string {
  return pathOf(request).replace(/^\/v1\/resume\/.*/s, "/v1/resume/…");
}

/** What an error is to the caller; Fastify's own come from reading the request. */
function knownError(error: unknown): { readonly known: LonghaulError; readonly more?: ProblemMore } {
  if (error instanceof LonghaulError) return { known: error.code === "internal" ? internal(error) : error };
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return {
        known: new LonghaulError("too_large", "the body is larger than this server takes (MAX_BODY_BYTES)"),
        more: { headers: { connection: "close" } },
      };
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return {
        known: new LonghaulError(
          "unsupported_media_type",
          "the body must be application/json or application/yaml; say so in the content-type header",
        ),
      };
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return { known: new LonghaulError("invalid_argument", "the body is not as long as content-length says") };
    default:
      return { known: internal(error) };
  }
}

function internal(cause: unknown): LonghaulError {
  return new LonghaulError("internal", "something went wrong here; it is in the server's log", { cause });
}

function badUrl(cause: unknown): LonghaulError {
  return new LonghaulError("invalid_argument", "the path is malformed: it must be percent-encoded UTF-8", { cause });
}

interface Known {
  readonly verb: string;
  readonly path: { readonly pattern: RegExp };
}

/** 404 for an unknown path; 405 with `Allow` for a known one, and 204 when the question was just that. */
function notFoundHandler(known: readonly Known[]) {
  return (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = pathOf(request);
    const verbs = new Set(known.filter((one) => one.path.pattern.test(path)).map((one) => one.verb));
    // A path that only looks like a known one, because it is known before its escapes are undone, is nothing either.
    if (verbs.size === 0 || verbs.has(request.method === "HEAD" ? "GET" : request.method))
      return sendProblem(
        request,
        reply,
        new LonghaulError("not_found", "there is nothing at this path; GET /openapi.json says what there is"),
      );
    if (verbs.has("GET")) verbs.add("HEAD");
    const allow = [...verbs, "OPTIONS"].join(", ");
    if (request.method === "OPTIONS") return reply.code(204).header("allow", allow).send();
    const error = new LonghaulError(
      "invalid_argument",
      `${request.method.slice(0, 20)} is not possible here; possible are: ${allow}`,
    );
    return sendProblem(request, reply, error, { status: 405, headers: { allow } });
  };
}

function literal(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}
