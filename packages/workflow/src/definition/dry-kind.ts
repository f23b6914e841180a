import { type Json, type Outbound, OutboundError } from "@longhaul/core";
import { ExpressionError } from "../expression/template.ts";
import { type NodeContext, NodeFailure, type NodeServices, Suspension } from "../kinds/kind.ts";
import type { CompiledNode } from "./compiled-workflow.ts";
import { type DryEvaluation, type DryValue, UnknownValue } from "./dry-values.ts";

/** What a node's kind answers in a dry run. */
export type DryResult =
  | { readonly kind: "output"; readonly output: Json; readonly shown?: Json }
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/** Runs a kind that has no effects; says of any other why its output is not known. */
export async function dryKind(
  node: CompiledNode,
  input: DryValue,
  path: string,
  { run, nowMs, signal }: { readonly run: DryEvaluation; readonly nowMs: number; readonly signal: AbortSignal },
): Promise<DryResult> {
  const why = notRun(node, path);
  if (why !== undefined) return { kind: "unknown", why };
  const isKnown = input.unknown.length === 0;
  if (input.value === undefined || (!isKnown && !node.kind.inline))
    return { kind: "unknown", why: input.unknown[0]?.why ?? "its with is not known" };
  const timeoutMs = Math.max(1, Math.min(node.timeoutMs, run.turn.leftMs()));
  const stop = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
  try {
    const output = await node.kind.run(contextOf(path, input.value, timeoutMs, nowMs, stop));
    if (output instanceof Suspension) return { kind: "unknown", why: `node "${path}" waits: ${output.wait.reason}` };
    if (!isKnown) return { kind: "output", output, ...(node.kind.name === "transform" && { shown: input.shown }) };
    run.left -= JSON.stringify(output).length;
    return { kind: "output", output, shown: output };
  } catch (error) {
    if (error instanceof UnknownValue) return { kind: "unknown", why: error.message };
    if (error instanceof NodeFailure) return { kind: "failed", code: error.code, message: error.message };
    if (error instanceof ExpressionError) return { kind: "failed", code: "expression_error", message: error.message };
    if (stop.aborted) return { kind: "unknown", why: `node "${path}" took longer than a dry run may` };
    throw error;
  }
}

/** Why a node is not run; undefined where it is. */
function notRun({ kind }: CompiledNode, path: string): string | undefined {
  if (kind.effects) return `the output of "${path}" is not known: it touches the outside and nothing is recorded for it`;
  if (kind.resume !== undefined) return `the output of "${path}" is not known: it waits and nothing is recorded for it`;
  return undefined;
}

const noOutside: Outbound = {
  request: () => Promise.reject(new OutboundError("forbidden_address", "a dry run calls nobody")),
  stream: () => Promise.reject(new OutboundError("forbidden_address", "a dry run calls nobody")),
};

const noServices: NodeServices = {
  startChild: () => Promise.reject(new NodeFailure("dry_run", "a dry run starts no tasks", { retryable: false })),
  connection: () => Promise.reject(new NodeFailure("dry_run", "a dry run reads no connections", { retryable: false })),
  acquireCall: () => Promise.reject(new NodeFailure("dry_run", "a dry run calls no models", { retryable: false })),
  submitJob: () => Promise.reject(new NodeFailure("dry_run", "a dry run calls no workers", { retryable: false })),
};

function contextOf(path: string, input: Json, timeoutMs: number, nowMs: number, signal: AbortSignal): NodeContext {
  return {
    path,
    input,
    signal,
    outbound: noOutside,
    operationKey: "00000000-0000-8000-8000-000000000000",
    timeoutMs,
    now: () => nowMs,
    progress: () => undefined,
    log: () => undefined,
    spend: () => undefined,
    resumeUrl: () => "https://example.invalid/",
    services: noServices,
    evaluate: () => undefined,
  };
}
