import type { Json, RetryRule } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import { objectOf } from "../expression/json-object.ts";
import { type CompiledTemplate, compileTemplate, type TextBudget } from "../expression/template.ts";
import type { NodeKind } from "../kinds/kind.ts";
import { kinds } from "../kinds/registry.ts";
import type { CompiledNode, Need } from "./compiled-workflow.ts";
import { takeDeferred } from "./deferred.ts";
import { durationMs, longestMs } from "./duration.ts";
import type { Faults } from "./faults.ts";
import { nearest } from "./nearest.ts";
import { checkNode } from "./shape-faults.ts";
import { quoteVerbatim } from "./verbatim.ts";

/** A node of a definition that fits the schema of its kind. */
export interface NodeDefinition {
  readonly id: string;
  readonly kind: string;
  readonly needs?: readonly (string | { readonly node: string; readonly on?: "succeeded" | "failed" })[];
  readonly timeout?: string;
  readonly retry?: {
    readonly attempts?: number;
    readonly delay?: string;
    readonly factor?: number;
    readonly max?: string;
    readonly jitter?: number;
    readonly on?: readonly string[];
  };
  readonly onError?: "fail" | "continue" | { readonly output: Json };
  readonly onUnknown?: "retry" | "fail" | "ask";
  readonly cache?: { readonly key: Json; readonly ttl: string };
  readonly secret?: boolean;
}

/** One node on its way: where it stands, and what is known of it so far. */
export interface NodeDraft {
  readonly pointer: string;
  /** How it is called in faults: its id, or `each[].call`. */
  readonly name: string;
  readonly definition: NodeDefinition;
  readonly source: JsonObject;
  readonly kind: NodeKind;
  readonly needs: readonly Need[];
  readonly when: CompiledTemplate | undefined;
  readonly input: CompiledTemplate | undefined;
  readonly deferred: ReadonlyMap<string, CompiledTemplate>;
  readonly onErrorOutput: CompiledTemplate | undefined;
  readonly cacheKey: CompiledTemplate | undefined;
}

/** What is shared by all checks of one definition. */
export interface CompileContext {
  readonly faults: Faults;
  readonly budget: TextBudget;
  /** Name of the workflow. */
  readonly workflow: string;
  /** Names of items in sight. */
  readonly locals: readonly string[];
  /** What ids stand behind in faults: empty, or `each[].`. */
  readonly prefix: string;
}

/** Checks one node by itself; undefined where it does not fit its kind. */
export function draftNode(node: Json, pointer: string, context: CompileContext): NodeDraft | undefined {
  const { faults } = context;
  const name = context.prefix + (idOf(node) ?? "");
  if (typeof node !== "object" || node === null || Array.isArray(node)) {
    faults.add(pointer, "a node must be an object", "Give it an id, a kind and what the kind needs.");
    return undefined;
  }
  const loose = node as JsonObject;
  const kindName = loose["kind"];
  const kind = typeof kindName === "string" ? kinds.get(kindName) : undefined;
  if (kind === undefined) {
    reportKind(kindName, pointer, name, faults);
    return undefined;
  }
  const fits = checkNode(kind.name, node, pointer, name, faults);
  checkTimes(loose, pointer, name, faults);
  const parts = takeDeferred(loose["with"] ?? null, kind.deferred ?? []);
  const input = template(quoteVerbatim(parts.eager, kind.verbatim ?? []), `${pointer}/with`, name, context);
  const deferred = new Map<string, CompiledTemplate>();
  for (const [at, source] of parts.deferred) {
    const compiled = template(source, `${pointer}/with${at}`, name, context);
    if (compiled !== undefined) deferred.set(at, compiled);
  }
  const when = loose["when"] === undefined ? undefined : whenTemplate(loose["when"], `${pointer}/when`, name, context);
  const onErrorOutput = partTemplate(loose["onError"], "output", `${pointer}/onError`, name, context);
  const cacheKey = partTemplate(loose["cache"], "key", `${pointer}/cache`, name, context);
  if (!fits) return undefined;
  for (const problem of kind.check?.(loose["with"] ?? null) ?? [])
    faults.add(`${pointer}/with${problem.pointer}`, problem.message, problem.mend, name);
  // The schema has just said that it is one.
  const definition = node as unknown as NodeDefinition;
  checkRules(definition, kind, pointer, name, faults);
  const needs = (definition.needs ?? []).map(
    (need): Need =>
      typeof need === "string" ? { node: need, on: "succeeded" } : { node: need.node, on: need.on ?? "succeeded" },
  );
  return { pointer, name, definition, source: loose, kind, needs, when, input, deferred, onErrorOutput, cacheKey };
}

export function idOf(node: Json): string | undefined {
  const id = typeof node === "object" && node !== null && !Array.isArray(node) ? (node as JsonObject)["id"] : undefined;
  return typeof id === "string" ? id : undefined;
}

/** Checks what the form of a duration cannot say: how long is too long, and that zero is no time. */
export function checkDuration(value: Json | undefined, pointer: string, node: string, faults: Faults): void {
  if (typeof value !== "string" || !/^[0-9]{1,9}(ms|s|m|h|d)$/.test(value)) return;
  const ms = durationMs(value);
  if (ms === undefined) faults.add(pointer, `${value} is longer than 366 days`, `Give at most ${longestMs / 86_400_000}d.`, node);
  else if (ms === 0 && !pointer.endsWith("/delay"))
    faults.add(pointer, `${value} is no time at all`, "Give at least 1ms, or leave it out.", node);
}

/** Compiles a value with expressions; undefined where one of them is wrong. */
export function template(source: Json, pointer: string, node: string, context: CompileContext): CompiledTemplate | undefined {
  const { faults, budget, locals } = context;
  const result = compileTemplate(source, pointer, budget, locals);
  if (result.ok) return result.template;
  for (const problem of result.problems) faults.add(problem.pointer, problem.message, problem.mend, node);
  return undefined;
}

/** What a node's definition says beside its graph. */
export function rulesOf({ definition, source, kind, onErrorOutput, cacheKey }: NodeDraft, workflow: string) {
  const { timeout, retry, onError, cache } = definition;
  const givenMs = timeout === undefined ? undefined : durationMs(timeout);
  const ttlMs = cache === undefined ? undefined : durationMs(cache.ttl);
  return {
    timeoutMs: givenMs ?? kind.defaultTimeoutMs,
    waitMs: givenMs ?? Number.POSITIVE_INFINITY,
    retry: retryRule(retry, kind),
    retryOn: retry?.on === undefined ? undefined : new Set(retry.on),
    onError: onError === undefined || onError === "fail" ? undefined : { output: onErrorOutput },
    onUnknown: definition.onUnknown ?? "retry",
    cache:
      cacheKey === undefined || ttlMs === undefined
        ? undefined
        : { key: cacheKey, ttlMs, scope: JSON.stringify([workflow, source]) },
    definition: source,
  } satisfies Partial<CompiledNode>;
}

function checkTimes(loose: JsonObject, pointer: string, name: string, faults: Faults): void {
  checkDuration(loose["timeout"], `${pointer}/timeout`, name, faults);
  checkDuration(objectOf(loose["retry"])["delay"], `${pointer}/retry/delay`, name, faults);
  checkDuration(objectOf(loose["retry"])["max"], `${pointer}/retry/max`, name, faults);
  checkDuration(objectOf(loose["cache"])["ttl"], `${pointer}/cache/ttl`, name, faults);
}

function checkRules(definition: NodeDefinition, kind: NodeKind, pointer: string, name: string, faults: Faults): void {
  if (definition.cache !== undefined && definition.secret === true)
    faults.add(`${pointer}/cache`, "the result of a secret node is not kept", "Remove cache, or secret.", name);
  if (definition.cache !== undefined && kind.resume !== undefined && !kind.effects)
    faults.add(`${pointer}/cache`, `a ${kind.name} has no result that could be kept`, "Remove cache.", name);
  if (definition.onUnknown !== undefined && !kind.effects)
    faults.add(`${pointer}/onUnknown`, `a ${kind.name} calls nobody outside`, "Remove onUnknown.", name);
}

function partTemplate(
  value: Json | undefined,
  key: string,
  pointer: string,
  name: string,
  context: CompileContext,
): CompiledTemplate | undefined {
  const part = objectOf(value)[key];
  return part === undefined ? undefined : template(part, `${pointer}/${key}`, name, context);
}

function whenTemplate(source: Json, pointer: string, node: string, context: CompileContext): CompiledTemplate | undefined {
  if (typeof source !== "string" && typeof source !== "boolean") return undefined;
  if (typeof source === "string" && !/^\$\{[\s\S]*\}$/.test(source)) {
    context.faults.add(
      pointer,
      "when must be one expression, or true or false",
      'Write it as "${ nodes.x.status == 200 }".',
      node,
    );
    return undefined;
  }
  return template(source, pointer, node, context);
}

function reportKind(name: Json | undefined, pointer: string, id: string, faults: Faults): void {
  const have = [...kinds.keys()];
  if (typeof name !== "string") {
    faults.add(`${pointer}/kind`, "the node has no kind", `Add kind: one of ${have.join(", ")}.`, id);
    return;
  }
  const near = nearest(name, have);
  const mend = near === undefined ? `Use one of ${have.join(", ")}.` : `Did you mean "${near}"?`;
  faults.add(
    `${pointer}/kind`,
    `kind ${JSON.stringify(name.slice(0, 100))} is not available; have: ${have.join(", ")}`,
    mend,
    id,
  );
}

const onlyOnce: RetryRule = { attempts: 1, delayMs: 0, factor: 1, maxMs: 0, jitter: 0 };

function retryRule(retry: NodeDefinition["retry"], { defaultRetry = onlyOnce }: NodeKind): RetryRule {
  if (retry === undefined) return defaultRetry;
  return {
    attempts: retry.attempts ?? 3,
    delayMs: durationMs(retry.delay ?? "1s") ?? 1000,
    factor: retry.factor ?? 2,
    maxMs: durationMs(retry.max ?? "30s") ?? 30_000,
    jitter: retry.jitter ?? 0.2,
  };
}
