import { decideRetry, type Failure, type Json } from "@longhaul/core";
import type { CompiledNode } from "../definition/compiled-workflow.ts";
import { objectOf } from "../expression/json-object.ts";
import { type NodeResult, type NodeWait, Suspension, type Wake } from "../kinds/kind.ts";
import { isUnknownWait, unknownAnswer, unknownWait } from "./asks.ts";
import { type FailedTry, failedTry, failure } from "./failure.ts";
import type { GraphRun } from "./graph-run.ts";
import type { NodeWork } from "./node-work.ts";
import { runTry, Stopped } from "./run-try.ts";

// A kind's own failures are for `retry.on` to judge; these are not its own.
const neverRetried: ReadonlySet<string> = new Set(["expression_error", "output_too_large", "internal_error"]);

/** Runs a node whose `with` is evaluated, from where earlier attempts left it, until it has settled, waits or is parked. */
export async function runNode(work: NodeWork, input: Json): Promise<void> {
  const { graph, node, path } = work;
  const before = graph.storedRun(path);
  noteInput(work, input);
  if (before?.state === "waiting" && before.wait?.kind === "retry") {
    const restMs = (before.wait.untilMs ?? 0) - graph.run.hooks.now();
    if (restMs > 0 && !(await hold(work, restMs, before.error, before.sinceMs))) return;
  }
  const wasCutShort = before?.state === "running" && before.error === undefined && node.kind.effects;
  if (wasCutShort && node.onUnknown !== "retry") {
    work.tries++;
    settleUnknown(work, undefined);
  } else await tryUntilSettled(work, input);
}

/** Lets a node wait. What is stored already is not recorded again. */
export function suspend(work: NodeWork, wait: NodeWait, sinceMs: number, isStored = false): void {
  const { graph, node, path } = work;
  if (!isStored) graph.push(work.record("waiting", { wait: node.secret ? withoutDetails(wait) : wait, sinceMs }), work);
  // A person's answer is not a matter of the node's own time, and a wait that says its end needs no other.
  const givenMs = isUnknownWait(wait) || wait.untilMs !== undefined ? Number.POSITIVE_INFINITY : sinceMs + node.waitMs;
  graph.run.wait({
    path,
    wait,
    sinceMs,
    untilMs: Math.min(wait.untilMs ?? Number.POSITIVE_INFINITY, givenMs),
    owner: graph,
    wake(wake, seq) {
      work.seq = seq;
      graph.run.launch(goOn(work, wait, sinceMs, wake));
    },
  });
}

/** What a secret node asks is made of its input, which nobody is shown. */
function withoutDetails({ details: _, ...wait }: NodeWait): NodeWait {
  return wait;
}

/** What a thrown error means for its node. Throws Stopped on. */
export function triedAndFailed(graph: GraphRun, node: CompiledNode, path: string, thrown: unknown): FailedTry {
  if (thrown instanceof Stopped) throw thrown;
  const { hooks, vault } = graph.run;
  return failedTry(thrown, path, vault, (error) => hooks.unexpected?.(node.withholds ? withheldError : error, path));
}

const withheldError = new Error("an error of a node that works with secrets; what it says is withheld");

function noteInput(work: NodeWork, input: Json): void {
  const { kind, withholds } = work.node;
  if (!kind.effects) return;
  work.inputJson = withholds && !work.node.secret ? '"[redacted]"' : JSON.stringify(kind.redact?.(input) ?? input);
}

async function tryUntilSettled(work: NodeWork, input: Json): Promise<void> {
  const { graph, node } = work;
  const { run } = graph;
  for (work.tries++; !graph.isOver; work.tries++) {
    if (node.kind.effects) {
      run.spending.call();
      graph.push(work.record("running", {}), work);
      await run.allStored();
    }
    const failed = await attempt(
      work,
      runTry(work, input, (context) => node.kind.run(context)),
    );
    if (failed === undefined || !(await afterFailure(work, failed))) return;
  }
}

/** Settles the node, or lets it wait; answers how the try failed, if it did. */
async function attempt(work: NodeWork, result: Promise<NodeResult>, sinceMs?: number): Promise<FailedTry | undefined> {
  const { graph, node, path } = work;
  try {
    const answer = await result;
    if (graph.isOver) return undefined;
    if (answer instanceof Suspension) suspend(work, answer.wait, sinceMs ?? graph.run.hooks.now());
    else work.succeed(answer);
    return undefined;
  } catch (thrown) {
    return triedAndFailed(graph, node, path, thrown);
  }
}

/** Decides what follows a failed try; true where the next one is due now. */
async function afterFailure(work: NodeWork, { error, retryAfterMs, sent, notTried }: FailedTry): Promise<boolean> {
  const { graph, node } = work;
  if (graph.isOver) return false;
  if (notTried) {
    work.tries--;
    graph.run.spending.takeBack();
    const shown = graph.shownError(node, error);
    graph.push(work.record("running", { error: shown }), work);
    return hold(work, Math.max(1, retryAfterMs), shown);
  }
  if (node.kind.effects && node.onUnknown !== "retry" && sent === "unknown" && error.retryable) {
    settleUnknown(work, error);
    return false;
  }
  const decision = mayBeTriedAgain(node, error)
    ? decideRetry(node.retry, work.tries, graph.run.hooks.random(), retryAfterMs)
    : { again: false as const };
  if (!decision.again) {
    work.fail(error);
    return false;
  }
  const shown = graph.shownError(node, error);
  graph.push(work.record("running", { error: shown }), work);
  return hold(work, decision.delayMs, shown);
}

function mayBeTriedAgain({ retryOn }: CompiledNode, { code, retryable }: Failure): boolean {
  return retryOn === undefined ? retryable : retryOn.has(code) && !neverRetried.has(code);
}

/** Waits until the next try; false where that is too long to wait here, or the graph has ended. */
async function hold(work: NodeWork, delayMs: number, error: Failure | undefined, since?: number): Promise<boolean> {
  const { graph } = work;
  const { run } = graph;
  if (delayMs > run.maxHoldMs) {
    run.park({ work, error, sinceMs: since ?? run.hooks.now(), dueMs: run.hooks.now() + delayMs });
    return false;
  }
  run.handOver();
  await graph.sleep(delayMs);
  return !graph.isOver;
}

/** The call was sent, and nobody knows what became of it. */
function settleUnknown(work: NodeWork, error: Failure | undefined): void {
  const { graph, node, path } = work;
  if (node.onUnknown === "ask") {
    suspend(work, unknownWait(error && graph.shownError(node, error)), graph.run.hooks.now());
    return;
  }
  const message = `the call was sent, but its answer was not seen${error === undefined ? "" : `: ${error.message}`}`;
  const details = error === undefined ? {} : { code: error.code };
  work.fail(failure("outcome_unknown", message, path, false, details));
}

async function goOn(work: NodeWork, wait: NodeWait, sinceMs: number, wake: Wake): Promise<void> {
  const { graph, node, path } = work;
  // Begins behind the turn in which it was woken, when everything before it is in its place.
  await Promise.resolve();
  if (graph.isOver) return;
  if (isUnknownWait(wait)) return answerUnknown(work, wait, sinceMs, wake);
  if (wake.kind === "time" && wait.untilMs === undefined) {
    work.fail(failure("node_timeout", `the node waited longer than ${node.waitMs} ms`, path, false));
    return;
  }
  const input = await inputOf(work);
  if (input === undefined) return;
  const { resume } = node.kind;
  if (resume === undefined) throw new Error(`the kind ${node.kind.name} waits, but cannot go on`);
  const failed = await attempt(
    work,
    runTry(work, input, (context) => resume(context, wait, wake)),
    sinceMs,
  );
  if (failed !== undefined && (await afterFailure(work, failed))) await tryUntilSettled(work, input);
}

async function answerUnknown(work: NodeWork, wait: NodeWait, sinceMs: number, wake: Wake): Promise<void> {
  const answer = wake.kind === "arrival" ? unknownAnswer(wake.payload) : { kind: "fail" as const };
  switch (answer?.kind) {
    case undefined:
      suspend(work, wait, sinceMs);
      return;
    case "output":
      work.succeed(answer.output);
      return;
    case "fail": {
      const { code } = objectOf(objectOf(wait.memory)["error"]);
      const details = typeof code === "string" ? { code } : {};
      work.fail(failure("outcome_unknown", "the call was sent, but its answer was not seen", work.path, false, details));
      return;
    }
    case "retry": {
      const input = await inputOf(work);
      if (input !== undefined) await tryUntilSettled(work, input);
    }
  }
}

/** The evaluated `with`, the same as before the wait; undefined where that failed, and with it the node. */
async function inputOf(work: NodeWork): Promise<Json | undefined> {
  const { graph, node, path } = work;
  try {
    const input = await graph.run.evaluator.evaluate(node.input, graph.scopeOf(node), graph.run.turn);
    if (graph.isOver) return undefined;
    noteInput(work, input);
    return input;
  } catch (thrown) {
    if (!graph.isOver) work.fail(triedAndFailed(graph, node, path, thrown).error);
    return undefined;
  }
}
