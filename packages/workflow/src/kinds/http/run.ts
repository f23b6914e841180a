import { type Json, OutboundError, type OutboundRequest, type OutboundResponse } from "@longhaul/core";
import { type KindProblem, type NodeContext, NodeFailure, type NodeKind } from "../kind.ts";
import { buildRequest } from "./build-request.ts";
import { decodeBody } from "./decode-body.ts";
import { retryAfterMs } from "./retry-after.ts";
import { httpSchema } from "./schema.ts";

/** Most bytes of an answer that a node takes. */
export const maxResponseBytes = 16 * 1024 * 1024;

/** Calls a web service. */
export const httpKind: NodeKind = {
  name: "http",
  description: "Calls a web service over HTTP; its output is { status, headers, body }.",
  schema: httpSchema,
  needsWith: true,
  effects: true,
  inline: false,
  defaultTimeoutMs: 60_000,
  supportsAsync: true,
  check: checkInput,
  run,
};

function checkInput(input: Json): readonly KindProblem[] {
  const bodies = ["json", "form", "body"].filter(
    (key) => typeof input === "object" && input !== null && Object.hasOwn(input, key),
  );
  if (bodies.length < 2) return [];
  return [
    {
      pointer: `/${bodies[1]}`,
      message: `${bodies.join(" and ")} are given, but a request has one body`,
      mend: `Keep one of ${bodies.join(", ")}.`,
    },
  ];
}

async function run(context: NodeContext): Promise<Json> {
  const { request, accepts } = buildRequest(context.input, context.operationKey);
  const response = await send(context, {
    ...request,
    timeoutMs: context.timeoutMs,
    maxResponseBytes,
    signal: context.signal,
  });
  if (!accepts(response.status)) throw refusedStatus(response, context.now());
  return { status: response.status, headers: response.headers, body: decodeBody(response) };
}

async function send({ outbound, signal }: NodeContext, request: OutboundRequest): Promise<OutboundResponse> {
  try {
    return await outbound.request(request);
  } catch (error) {
    if (signal.aborted || !(error instanceof OutboundError)) throw error;
    const code = error.fault === "timeout" ? "node_timeout" : `http_${error.fault}`;
    // These three fail again for as long as the workflow stays as it is.
    const lasting = error.fault === "forbidden_address" || error.fault === "invalid_url" || error.fault === "response_too_large";
    throw new NodeFailure(code, error.message, { retryable: !lasting, cause: error });
  }
}

function refusedStatus(response: OutboundResponse, nowMs: number): NodeFailure {
  const { status, headers } = response;
  const wait = retryAfterMs(headers["retry-after"], nowMs);
  return new NodeFailure("http_status", `the service answered ${status}`, {
    retryable: status === 408 || status === 429 || status >= 500,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
    details: { status, body: new TextDecoder().decode(response.body.subarray(0, 1024)) },
  });
}
