import { decideRetry, type Failure, type Json } from "@longhaul/core";
import type { CompiledNode, CompiledWorkflow } from "../definition/compiled-workflow.ts";
import type { JsonObject, Meter } from "../expression/cel-value.ts";
import { type Evaluator, evaluator } from "../expression/evaluate.ts";
import type { Scope } from "../expression/scope.ts";
import { type CompiledTemplate, ExpressionError } from "../expression/template.ts";
import { type FailedTry, failedTry, failure, taskFailure } from "./failure.ts";
import { operationKey } from "./operation-key.ts";
import { runTry, Stopped } from "./run-try.ts";
import type { NodeRecord, StoredRun, TaskFacts, TaskHooks, TaskOutcome } from "./task-run.ts";

type Settled = "succeeded" | "failed" | "skipped";

/** Largest output of a node or task, in bytes of JSON. */
export const maxOutputBytes = 16 * 1024 * 1024;

// Units that inline work may use before other work of the process gets a turn, about 5 ms.
const unitsPerTurn = 100_000;

/** A node whose next try is too far away to wait for here. */
interface Parked {
  readonly node: CompiledNode;
  readonly dueMs: number;
}

/**
 * Runs the graph of one task from where it stands to its end, or to the point where it must wait. Never throws.
 *
 * A node runs when all its needs have settled and at least one led to it: a need leads on when its node ended the way the edge names. With
 * needs of which none leads on, it is skipped. Nodes without effects run at once and their records go along with later ones; a node with
 * effects starts only after everything before it is durably stored.
 */
export function runTask(
  workflow: CompiledWorkflow,
  facts: TaskFacts,
  hooks: TaskHooks,
  evaluate: Evaluator = evaluator,
): Promise<TaskOutcome> {
  return new Promise((resolve) => taskRun(workflow, facts, hooks, evaluate, resolve));
}

function taskRun(
  workflow: CompiledWorkflow,
  facts: TaskFacts,
  hooks: TaskHooks,
  evaluate: Evaluator,
  resolve: (outcome: TaskOutcome) => void,
): void {
  const { nodes } = workflow;
  const concurrency = Math.max(1, hooks.concurrency ?? 16);
  const maxHoldMs = hooks.maxHoldMs ?? 10_000;
  const outputs: Record<string, Json> = Object.create(null);
  // The JSON of outputs, because the task's own output is often just one of them.
  const texts = new Map<Json, string>();
  const errors: Record<string, Json> = Object.create(null);
  const shared: Scope = { input: facts.input, nodes: outputs, errors, task: facts.task, secrets: {} };
  const stored = new Map(facts.stored.map((run) => [run.path, run]));
  const states = new Map<string, Settled>();
  const openNeeds = new Int32Array(nodes.length);
  const ready: CompiledNode[] = [];
  const parked: Parked[] = [];
  const turn: Meter = { left: unitsPerTurn };
  let pending: NodeRecord[] = [];
  let barrier: Promise<void> | undefined;
  let next = 0;
  let underWay = 0;
  let pumping = false;
  // Made when a node first needs it: most of the cost of a task that never does.
  let stop: AbortController | undefined;
  let ending = false;
  let done = false;

  const onAbort = () => finish({ kind: "aborted" });

  function finish(outcome: TaskOutcome): void {
    if (done) return;
    handOver();
    done = true;
    hooks.signal.removeEventListener("abort", onAbort);
    resolve(outcome);
    stop?.abort();
  }

  function handOver(): void {
    if (done || pending.length === 0) return;
    give(false)?.catch((cause: unknown) => finish({ kind: "aborted", cause }));
  }

  function give(withBarrier: boolean): Promise<void> | undefined {
    const runs = pending;
    pending = [];
    try {
      return hooks.record(runs, { barrier: withBarrier }) ?? undefined;
    } catch (cause) {
      // Nothing more is handed over to a hook that failed.
      finish({ kind: "aborted", cause });
      return undefined;
    }
  }

  /** Resolves once everything handed over so far is stored; what asks for it in the same turn shares one. */
  function allStored(): Promise<void> {
    barrier ??= Promise.resolve().then(() => {
      barrier = undefined;
      return done ? undefined : give(true);
    });
    return barrier;
  }

  function settle(node: CompiledNode, state: Settled): void {
    states.set(node.id, state);
    for (const index of node.successors) {
      const successor = nodes[index];
      openNeeds[index] = (openNeeds[index] ?? 0) - 1;
      if (successor && openNeeds[index] === 0 && !states.has(successor.id)) ready.push(successor);
    }
  }

  function leadsTo(node: CompiledNode): boolean {
    return node.needs.length === 0 || node.needs.some((need) => states.get(need.node) === need.on);
  }

  function skip(node: CompiledNode, atMs: number): void {
    pending.push({ path: node.id, kind: node.kind.name, state: "skipped", startTimeMs: atMs, endTimeMs: atMs, tries: 0 });
    settle(node, "skipped");
  }

  function succeed(node: CompiledNode, output: Json, startTimeMs: number, tries: number, inputJson?: string): void {
    const outputJson = outputText(output);
    if (outputJson === undefined) {
      const error = failure("output_too_large", `the output is larger than ${maxOutputBytes} bytes`, node.id, false);
      fail(node, error, startTimeMs, tries, inputJson);
      return;
    }
    pending.push({
      path: node.id,
      kind: node.kind.name,
      state: "succeeded",
      outputJson,
      startTimeMs,
      endTimeMs: hooks.now(),
      tries,
      ...(inputJson !== undefined && { inputJson }),
    });
    outputs[node.id] = output;
    if (typeof output === "object" && output !== null) texts.set(output, outputJson);
    settle(node, "succeeded");
  }

  function fail(node: CompiledNode, error: Failure, startTimeMs: number, tries: number, inputJson?: string): void {
    const input = inputJson === undefined ? {} : { inputJson };
    pending.push({
      path: node.id,
      kind: node.kind.name,
      state: "failed",
      ...input,
      error,
      startTimeMs,
      endTimeMs: hooks.now(),
      tries,
    });
    settleFailed(node, error);
  }

  function settleFailed(node: CompiledNode, error: Failure): void {
    errors[node.id] = { code: error.code, message: error.message, retryable: error.retryable, details: error.details ?? {} };
    settle(node, "failed");
    if (!node.failureHandled) finish({ kind: "failed", error: taskFailure(error) });
  }

  function scopeOf(node: CompiledNode): Scope {
    if (!node.seesAll) return shared;
    const seen = (all: JsonObject) =>
      Object.fromEntries([...node.ancestors].flatMap((id) => (all[id] === undefined ? [] : [[id, all[id]]])));
    return { ...shared, nodes: seen(outputs), errors: seen(errors) };
  }

  /** Failed tries that earlier attempts made: a try that was cut short does not count as one. */
  function triesBefore(node: CompiledNode): number {
    const run = stored.get(node.id);
    if (run === undefined || run.state !== "running") return 0;
    return run.error === undefined ? Math.max(0, run.tries - 1) : run.tries;
  }

  function begin(node: CompiledNode): void {
    const startTimeMs = hooks.now();
    if (!leadsTo(node)) {
      skip(node, startTimeMs);
      return;
    }
    try {
      const gate = node.when === undefined ? true : evaluate.evaluate(node.when, scopeOf(node), turn);
      if (gate instanceof Promise) launch(runGated(node, startTimeMs, gate));
      else if (!isTrue(node, gate)) skip(node, startTimeMs);
      else beginGated(node, startTimeMs);
    } catch (thrown) {
      fail(node, triedAndFailed(thrown, node).error, startTimeMs, triesBefore(node) + 1);
    }
  }

  function beginGated(node: CompiledNode, startTimeMs: number): void {
    const input = evaluate.evaluate(node.input, scopeOf(node), turn);
    if (input instanceof Promise) launch(runWithInput(node, startTimeMs, input));
    else beginWork(node, startTimeMs, input);
  }

  function beginWork(node: CompiledNode, startTimeMs: number, input: Json): void {
    const output = node.kind.inline ? node.kind.run({ input, outbound: hooks.outbound, ...inlineContext }) : undefined;
    if (output === undefined || output instanceof Promise) launch(runTries(node, startTimeMs, input));
    else succeed(node, output, startTimeMs, triesBefore(node) + 1);
  }

  /** Counts work that goes on beside the pump, and pumps again when it has ended. */
  function launch(work: Promise<void>): void {
    underWay++;
    work
      .catch((thrown: unknown) => {
        if (!done && !(thrown instanceof Stopped)) finish({ kind: "aborted", cause: thrown });
      })
      .finally(() => {
        underWay--;
        pump();
      });
  }

  async function runGated(node: CompiledNode, startTimeMs: number, gate: Promise<Json>): Promise<void> {
    try {
      const open = isTrue(node, await gate);
      if (done) return;
      if (open) beginGated(node, startTimeMs);
      else skip(node, startTimeMs);
    } catch (thrown) {
      if (!done) fail(node, triedAndFailed(thrown, node).error, startTimeMs, triesBefore(node) + 1);
    }
  }

  async function runWithInput(node: CompiledNode, startTimeMs: number, input: Promise<Json>): Promise<void> {
    try {
      const value = await input;
      if (!done) beginWork(node, startTimeMs, value);
    } catch (thrown) {
      if (!done) fail(node, triedAndFailed(thrown, node).error, startTimeMs, triesBefore(node) + 1);
    }
  }

  async function runTries(node: CompiledNode, startTimeMs: number, input: Json): Promise<void> {
    const { id: path, kind } = node;
    stop ??= new AbortController();
    const { signal } = stop;
    const key = operationKey(facts.taskId, path);
    const inputJson = kind.effects ? JSON.stringify(input) : undefined;
    for (let tries = triesBefore(node) + 1; !done; tries++) {
      if (kind.effects) {
        pending.push({
          path,
          kind: kind.name,
          state: "running",
          ...(inputJson === undefined ? {} : { inputJson }),
          startTimeMs,
          tries,
        });
        await allStored();
      }
      const failed = await runTry(node, path, input, key, signal, hooks).then(
        (output) => {
          if (!done) succeed(node, output, startTimeMs, tries, inputJson);
          return undefined;
        },
        (thrown: unknown) => triedAndFailed(thrown, node),
      );
      if (failed === undefined || done) return;
      const decision = failed.error.retryable
        ? decideRetry(node.retry, tries, hooks.random(), failed.retryAfterMs)
        : { again: false as const };
      if (!decision.again) {
        fail(node, failed.error, startTimeMs, tries, inputJson);
        return;
      }
      pending.push({ path, kind: kind.name, state: "running", error: failed.error, startTimeMs, tries });
      if (decision.delayMs > maxHoldMs) {
        parked.push({ node, dueMs: hooks.now() + decision.delayMs });
        return;
      }
      handOver();
      await hooks.sleep(decision.delayMs, signal);
    }
  }

  function triedAndFailed(thrown: unknown, node: CompiledNode): FailedTry {
    if (thrown instanceof Stopped) throw thrown;
    return failedTry(thrown, node.id, (error) => hooks.unexpected?.(error, node.id));
  }

  function pump(): void {
    if (pumping || done) return;
    pumping = true;
    while (next < ready.length && underWay < concurrency && !done && turn.left > 0) {
      const node = ready[next++];
      if (node) begin(node);
    }
    pumping = false;
    if (done) return;
    if (turn.left <= 0) setImmediate(nextTurn);
    else if (states.size === nodes.length) void end();
    else if (underWay === 0 && next === ready.length) release();
    // A barrier that was asked for takes these along in a moment.
    else if (barrier === undefined) handOver();
  }

  function nextTurn(): void {
    turn.left = unitsPerTurn;
    pump();
  }

  /** Everything that can go on has ended, but some nodes wait for their next try. */
  function release(): void {
    const [first, ...others] = parked;
    if (first === undefined) {
      finish({ kind: "aborted", cause: new Error("the graph has nodes that can never run") });
      return;
    }
    const soonest = others.reduce((least, each) => (each.dueMs < least.dueMs ? each : least), first);
    finish({ kind: "backoff", node: soonest.node.id, delayMs: Math.max(0, soonest.dueMs - hooks.now()) });
  }

  async function end(): Promise<void> {
    if (ending) return;
    ending = true;
    try {
      const result = outputOf(workflow.output);
      const output = result instanceof Promise ? await result : result;
      const outputJson = (typeof output === "object" && output !== null ? texts.get(output) : undefined) ?? outputText(output);
      if (outputJson === undefined) throw new ExpressionError(`the output is larger than ${maxOutputBytes} bytes`, "/output");
      finish({ kind: "succeeded", outputJson });
    } catch (thrown) {
      if (!(thrown instanceof ExpressionError)) hooks.unexpected?.(thrown, "");
      const message = thrown instanceof ExpressionError ? thrown.message : "the output could not be put together";
      const { node: _none, ...error } = failure("expression_error", message, "", false);
      finish({ kind: "failed", error });
    }
  }

  function outputOf(output: CompiledTemplate | undefined): Json | Promise<Json> {
    if (output !== undefined) return evaluate.evaluate(output, shared);
    return Object.fromEntries(workflow.leaves.flatMap((id) => (outputs[id] === undefined ? [] : [[id, outputs[id]]])));
  }

  function resume(node: CompiledNode): void {
    const run = stored.get(node.id);
    if (run === undefined || run.state === "running") return;
    states.set(node.id, run.state);
    if (run.state === "succeeded") outputs[node.id] = run.output ?? null;
    if (run.state === "failed") settleFailed(node, storedError(run));
  }

  if (hooks.signal.aborted) {
    resolve({ kind: "aborted" });
    return;
  }
  hooks.signal.addEventListener("abort", onAbort, { once: true });
  if (stored.size > 0) for (const node of nodes) resume(node);
  for (const node of nodes) {
    openNeeds[node.index] = node.needs.filter((need) => !states.has(need.node)).length;
    if (openNeeds[node.index] === 0 && !states.has(node.id)) ready.push(node);
  }
  pump();
}

const neverAborted = new AbortController().signal;
const inlineContext = {
  now: Date.now,
  signal: neverAborted,
  operationKey: "",
  timeoutMs: Number.POSITIVE_INFINITY,
  progress: () => undefined,
};

function isTrue(node: CompiledNode, value: Json): boolean {
  if (typeof value === "boolean") return value;
  throw new ExpressionError(
    `when must be true or false, but it is ${value === null ? "null" : typeof value}`,
    node.when?.pointer ?? "",
  );
}

function storedError(run: StoredRun): Failure {
  return run.error ?? { code: "node_failed", message: "the node failed in an earlier attempt", node: run.path, retryable: false };
}

/** JSON text of an output, or undefined where it is too large. */
function outputText(output: Json): string | undefined {
  const text = JSON.stringify(output);
  if (text.length * 3 <= maxOutputBytes) return text;
  return text.length <= maxOutputBytes && Buffer.byteLength(text) <= maxOutputBytes ? text : undefined;
}
