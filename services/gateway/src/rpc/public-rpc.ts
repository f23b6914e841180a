import { create, type DescMethod, type DescService, getOption, isMessage, type Message } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions, ConnectRouter, HandlerContext, Interceptor, ServiceImpl } from "@connectrpc/connect";
import { http_dress } from "@longhaul/proto/options";
import {
  type TaskServiceSubmitRequest,
  TaskServiceSubmitRequestSchema,
  TaskServiceSubmitResponseSchema,
} from "@longhaul/proto/task_service";
import {
  inputText,
  internalTokenHeader,
  oneIdempotencyKey,
  onwardCall,
  projectHeader,
  projectOf,
  requestHash,
  submitItem,
} from "@longhaul/shared";
import type { Authenticate } from "../auth/api-keys.ts";
import { type PublicService, streamCall, unaryCall } from "../clients.ts";
import { callTimeout } from "../http/call-timeout.ts";
import { maxWaitSeconds } from "../http/prefer.ts";
import type { SubmitDeps } from "../http/submit-over-http.ts";
import { awaitEnd, hasEnded } from "../intake/await-end.ts";

type Method = (request: Message, context: HandlerContext) => Promise<Message>;

type StreamMethod = (request: Message, context: HandlerContext) => AsyncIterable<Message>;

/** Registers the public services for gRPC, gRPC-Web and Connect: every method is passed on as it is, but Submit goes in groups. */
export function publicRpc(services: readonly PublicService[], deps: SubmitDeps): (router: ConnectRouter) => void {
  return (router) => {
    for (const one of services) {
      const impl: Record<string, Method | StreamMethod> = {};
      for (const method of one.service.methods) {
        if (method.methodKind === "unary")
          impl[method.localName] =
            method.input.typeName === TaskServiceSubmitRequestSchema.typeName ? submitBy(deps) : passOn(one, method);
        if (method.methodKind === "server_streaming") {
          const call = streamCall(one, method);
          impl[method.localName] = (request: Message, context: HandlerContext) => call(request, onwardCall(context));
        }
      }
      // Every method of the service is there, of the kind that its descriptor says; the type of a service that is known only
      // at run time can't express that.
      router.service(one.service, impl as ServiceImpl<DescService>);
    }
  };
}

/** Lets nobody name a project or a token: both come from the key that the caller shows. Health and reflection stay open. */
export function authenticateCalls(services: readonly PublicService[], authenticate: Authenticate): Interceptor {
  const guarded = new Set(services.map((one) => one.service.typeName));
  return (next) => (req) => {
    req.header.delete(internalTokenHeader);
    req.header.delete(projectHeader);
    if (guarded.has(req.service.typeName) && !getOption(req.method, http_dress).open)
      req.header.set(
        projectHeader,
        authenticate((name) => req.header.get(name) ?? undefined),
      );
    return next(req);
  };
}

function passOn(service: PublicService, method: DescMethod): Method {
  const call = unaryCall(service, method);
  const takesKey = method.input.fields.some((field) => field.name === "request_id");
  return async (request, context) => {
    const timeoutMs = context.timeoutMs() === undefined ? callTimeout(method.input, request) : undefined;
    const options: CallOptions = { ...onwardCall(context), ...(timeoutMs !== undefined && { timeoutMs }) };
    return call(takesKey ? withKey(request, context) : request, options);
  };
}

function withKey(request: Message, context: HandlerContext): Message {
  const said: unknown = Reflect.get(request, "requestId");
  const key = oneIdempotencyKey(context.requestHeader.get("idempotency-key") ?? undefined, typeof said === "string" ? said : "");
  return key === said ? request : Object.assign(request, { requestId: key });
}

function submitBy({ submit, tasks, newId }: SubmitDeps): Method {
  return async (request, context) => {
    if (!isMessage(request, TaskServiceSubmitRequestSchema)) throw new Error("not a submit");
    const { task, replayed } = await submit(itemOf(request, context, newId()), context.signal);
    const own = task.input ? task : { ...task, ...(request.input && { input: request.input }) };
    const waitMs = request.wait ? Math.min(durationMs(request.wait), maxWaitSeconds * 1_000) : 0;
    if (waitMs <= 0 || hasEnded(task)) return create(TaskServiceSubmitResponseSchema, { task: own, replayed });
    // Answering a moment before the caller's own deadline tells it the id; after it, nothing.
    const left = context.timeoutMs();
    const patience = left === undefined ? waitMs : Math.min(waitMs, left - 250);
    const latest = patience > 0 ? await awaitEnd(tasks, task.id, patience, onwardCall(context)) : undefined;
    return create(TaskServiceSubmitResponseSchema, { task: latest ?? own, replayed });
  };
}

function itemOf(request: TaskServiceSubmitRequest, context: HandlerContext, id: string) {
  const key = oneIdempotencyKey(context.requestHeader.get("idempotency-key") ?? undefined, request.requestId);
  const text = inputText(request);
  const inputJson = Buffer.from(text);
  return submitItem(request, { id, project: projectOf(context), inputJson, key, bodyHash: () => requestHash(request, text) });
}
