import type { Json, Outbound, OutboundRequest, OutboundResponse } from "@longhaul/core";
import { takeDeferred } from "../../../definition/deferred.ts";
import { compileTemplate } from "../../../expression/template.ts";
import { type NodeContext, NodeFailure, type NodeResult } from "../../kind.ts";
import { httpKind } from "../run.ts";

export type Answer = Partial<OutboundResponse> | Error;

/** A service that gives one answer after the other, the last one for ever, and keeps what it was asked. */
export function fakeOutbound(...answers: readonly Answer[]): Outbound & { readonly sent: OutboundRequest[] } {
  const sent: OutboundRequest[] = [];
  return {
    sent,
    async request(request) {
      sent.push(request);
      const answer = answers[Math.min(sent.length, answers.length) - 1] ?? {};
      if (answer instanceof Error) throw answer;
      return { status: 200, headers: {}, body: new Uint8Array(), ...answer };
    },
    stream: () => Promise.reject(new Error("an http node reads no stream")),
  };
}

export function jsonAnswer(value: Json, headers: Readonly<Record<string, string>> = {}): Partial<OutboundResponse> {
  return { headers: { "content-type": "application/json", ...headers }, body: Buffer.from(JSON.stringify(value)) };
}

const unavailable = () => Promise.reject(new Error("an http node asks for no service"));

/** What the engine gives to a node whose `with` has no expressions but in its deferred parts. */
export function contextOf(input: Json, outbound: Outbound, more: Partial<NodeContext> = {}): NodeContext {
  const { eager, deferred } = takeDeferred(input, httpKind.deferred ?? []);
  return {
    path: "node",
    input: eager,
    signal: new AbortController().signal,
    outbound,
    operationKey: "key-1",
    timeoutMs: 5000,
    now: Date.now,
    progress: () => undefined,
    log: () => undefined,
    spend: () => undefined,
    resumeUrl: () => "https://longhaul.example/v1/resume/s3cret-url",
    services: { startChild: unavailable, connection: unavailable, acquireCall: unavailable, submitJob: unavailable },
    evaluate(pointer, names) {
      const source = deferred.get(pointer);
      if (source === undefined) return undefined;
      const compiled = compileTemplate(source);
      if (!compiled.ok) throw new Error(compiled.problems[0]?.message);
      const scope = { input: null, nodes: {}, errors: {}, task: {}, secrets: {}, ...names };
      return compiled.template.run(scope, { left: 1_000_000 });
    },
    ...more,
  };
}

/** Runs the node against the answers; throws what it throws. */
export async function call(
  input: Readonly<Record<string, Json>>,
  ...answers: readonly Answer[]
): Promise<{ readonly output: NodeResult; readonly sent: readonly OutboundRequest[]; readonly request: OutboundRequest }> {
  const outbound = fakeOutbound(...answers);
  const output = await httpKind.run(contextOf({ url: "http://x.test/", ...input }, outbound));
  const [request] = outbound.sent;
  if (!request) throw new Error("nothing was sent");
  return { output, sent: outbound.sent, request };
}

export async function failureOf(work: Promise<unknown>): Promise<NodeFailure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof NodeFailure) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

export const bytes = (text: string): Uint8Array => Buffer.from(text);
