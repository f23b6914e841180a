import type { Failure } from "@longhaul/core";
import type { CompiledNode, CompiledWorkflow } from "../definition/compiled-workflow.ts";
import type { Meter } from "../expression/cel-value.ts";
import type { Evaluator } from "../expression/evaluate.ts";
import { ExpressionError } from "../expression/template.ts";
import { budgetPath } from "./asks.ts";
import { Budget } from "./budget.ts";
import { expressionFailure, failure, taskFailure } from "./failure.ts";
import { GraphRun } from "./graph-run.ts";
import type { NodeWork } from "./node-work.ts";
import { maxOutputBytes } from "./output-text.ts";
import type { Vault } from "./redact-secrets.ts";
import { ResultCache } from "./result-cache.ts";
import { Stopped } from "./run-try.ts";
import { Spending } from "./spending.ts";
import type { ArrivalFact, NodeRecord, NodeWaitFact, TaskFacts, TaskHooks, TaskOutcome } from "./task-run.ts";
import { soonestFirst, type Waiter, Waits } from "./waits.ts";

// Units that inline work may use before other work of the process gets a turn, about 5 ms.
const unitsPerTurn = 100_000;
// Records, and bytes of outputs, beyond which a `foreach` waits until they are stored.
const maxNewRecords = 500;
const maxNewBytes = 1024 * 1024;
// Timers further off are looked at again.
const longestTimerMs = 86_400_000;
const none: readonly number[] = [];

/** A node whose next try is too far away to wait for here. */
interface Parked {
  readonly work: NodeWork;
  readonly error: Failure | undefined;
  readonly sinceMs: number;
  readonly dueMs: number;
}

/** One task under way: what its graphs share. */
export class TaskRunner {
  readonly workflow: CompiledWorkflow;
  readonly facts: TaskFacts;
  readonly hooks: TaskHooks;
  readonly evaluator: Evaluator;
  readonly vault: Vault;
  readonly spending: Spending;
  /** Made when a node first needs it. */
  private cache: ResultCache | undefined;
  readonly maxHoldMs: number;
  /** What inline work of this turn may still use. */
  readonly turn: Meter = { left: unitsPerTurn };
  private readonly resolve: (outcome: TaskOutcome) => void;
  private readonly concurrency: number;
  private readonly budget: Budget | undefined;
  private readonly root: GraphRun;
  // Nodes that can begin, each with its graph at the same place of the other list.
  private readyNodes: CompiledNode[] = [];
  private readyGraphs: GraphRun[] = [];
  private next = 0;
  private readonly parked: Parked[] = [];
  private pending: NodeRecord[] = [];
  private consumed: number[] = [];
  private newRecords = 0;
  private newBytes = 0;
  private barrier: Promise<void> | undefined;
  private waits: Waits | undefined;
  private timer: { readonly atMs: number; readonly stop: AbortController } | undefined;
  private stopListening: (() => void) | undefined;
  private underWay = 0;
  private pumping = false;
  private ending = false;
  private done = false;

  constructor(
    workflow: CompiledWorkflow,
    facts: TaskFacts,
    hooks: TaskHooks,
    evaluator: Evaluator,
    vault: Vault,
    resolve: (outcome: TaskOutcome) => void,
  ) {
    this.workflow = workflow;
    this.facts = facts;
    this.hooks = hooks;
    this.evaluator = evaluator;
    this.vault = vault;
    this.resolve = resolve;
    this.concurrency = Math.max(1, hooks.concurrency ?? 16);
    this.maxHoldMs = hooks.maxHoldMs ?? 10_000;
    const { limits } = workflow;
    this.spending = new Spending(limits, facts.spent, hooks.now());
    const stored = facts.stored.length === 0 ? undefined : new Map(facts.stored.map((run) => [run.path, run]));
    this.budget = this.spending.hasCeilings ? new Budget(this, limits.onExceeded === "ask", stored?.get(budgetPath)) : undefined;
    this.root = new GraphRun(this, workflow, {
      prefix: "",
      owner: this,
      stored,
      scope: {
        input: facts.input,
        nodes: Object.create(null),
        errors: Object.create(null),
        task: facts.task,
        secrets: vault.values,
      },
    });
  }

  start(): void {
    const { facts, hooks } = this;
    if (hooks.signal.aborted) {
      this.resolve({ kind: "aborted" });
      return;
    }
    hooks.signal.addEventListener("abort", this.onAbort, { once: true });
    if (facts.arrivals !== undefined && facts.arrivals.length > 0) this.waiting().arrive(facts.arrivals);
    this.stopListening = hooks.onArrivals?.(this.onArrivals);
    this.root.start();
    this.pump();
  }

  private readonly onAbort = (): void => this.finish({ kind: "aborted" });

  private readonly onArrivals = (arrivals: readonly ArrivalFact[]): void => {
    if (this.done) return;
    this.waiting().arrive(arrivals);
    this.pump();
  };

  /** The task's graph has settled; the pump sees to the rest, when everything else of this turn is through. */
  onSettled(): void {}

  onOpened(): void {}

  onFailed(_graph: GraphRun, error: Failure): void {
    this.finish({ kind: "failed", error: taskFailure(error) });
  }

  finish(outcome: TaskOutcome): void {
    if (this.done) return;
    if (outcome.kind === "aborted") this.handOver();
    else this.handOverAll();
    this.done = true;
    this.hooks.signal.removeEventListener("abort", this.onAbort);
    this.stopListening?.();
    this.timer?.stop.abort();
    this.resolve(outcome);
    this.root.abort();
  }

  /** Takes a record, in the order in which they come about, and the arrival whose effect is in it. */
  push(record: NodeRecord, seq?: number, bytes = 0): void {
    this.pending.push(record);
    this.newRecords++;
    this.newBytes += bytes;
    if (seq !== undefined) this.consumed.push(seq);
  }

  /** True where so much is not stored yet that nothing should be added that can wait. */
  get isFullOfNews(): boolean {
    return this.newRecords >= maxNewRecords || this.newBytes >= maxNewBytes;
  }

  handOver(): void {
    if (this.done || (this.pending.length === 0 && this.consumed.length === 0)) return;
    this.give(false)?.catch((cause: unknown) => this.finish({ kind: "aborted", cause }));
  }

  /** Resolves once everything handed over so far is stored; what asks for it in the same turn shares one. */
  allStored(): Promise<void> {
    this.barrier ??= Promise.resolve().then(() => {
      this.barrier = undefined;
      this.newRecords = 0;
      this.newBytes = 0;
      return this.done ? undefined : this.give(true);
    });
    return this.barrier;
  }

  /** Results of earlier tasks. */
  results(): ResultCache {
    this.cache ??= new ResultCache(this.hooks);
    return this.cache;
  }

  /** Notes a node that can begin. */
  lineUp(graph: GraphRun, node: CompiledNode): void {
    this.readyNodes.push(node);
    this.readyGraphs.push(graph);
  }

  /** True where a ceiling keeps the node from beginning. */
  holdsBack(graph: GraphRun, node: CompiledNode): boolean {
    return this.budget?.holdsBack(graph, node) ?? false;
  }

  /** Lets a node go whose next try is far off. */
  park(parked: Parked): void {
    this.parked.push(parked);
  }

  /** Lets something wait, or go on at once where what it waits for is there. */
  wait(waiter: Waiter): void {
    this.waiting().add(waiter, this.hooks.now());
  }

  /** Nothing of the graph waits any more. */
  forget(graph: GraphRun): void {
    this.waits?.forget(graph);
    for (let at = this.parked.length - 1; at >= 0; at--) if (this.parked[at]?.work.graph === graph) this.parked.splice(at, 1);
  }

  /** Counts work that goes on beside the pump, and pumps again when it has ended. */
  launch(work: Promise<void>): void {
    this.underWay++;
    work
      .catch((thrown: unknown) => {
        if (!this.done && !(thrown instanceof Stopped)) this.finish({ kind: "aborted", cause: thrown });
      })
      .finally(() => {
        this.underWay--;
        this.pump();
      });
  }

  /** Pumps once the present call is through. */
  pumpSoon(): void {
    this.launch(Promise.resolve());
  }

  private pump(): void {
    if (this.pumping || this.done) return;
    this.pumping = true;
    while (this.next < this.readyNodes.length && this.underWay < this.concurrency && !this.done && this.turn.left > 0) {
      const graph = this.readyGraphs[this.next];
      const node = this.readyNodes[this.next++];
      if (graph && node) graph.begin(node);
      if (this.next >= 1024) this.forgetBegun();
    }
    this.pumping = false;
    if (this.done) return;
    if (this.turn.left <= 0) {
      // Other work of the process first; what has come about so far goes out meanwhile.
      if (this.isFullOfNews && this.barrier === undefined) this.handOver();
      setImmediate(this.nextTurn);
    } else if (this.root.open === 0) void this.end();
    else if (this.underWay === 0 && this.next === this.readyNodes.length) this.release();
    else {
      if (this.waits !== undefined) this.setTimer(this.waits);
      // A barrier that was asked for takes these along in a moment.
      if (this.barrier === undefined) this.handOver();
    }
  }

  private readonly nextTurn = (): void => {
    this.turn.left = unitsPerTurn;
    this.pump();
  };

  /** Keeps what has ended from being held by the lists of what could begin. */
  private forgetBegun(): void {
    this.readyNodes = this.readyNodes.slice(this.next);
    this.readyGraphs = this.readyGraphs.slice(this.next);
    this.next = 0;
  }

  private give(withBarrier: boolean): Promise<void> | undefined {
    const runs = this.pending;
    const consumed = this.consumed.length === 0 ? none : this.consumed;
    this.pending = [];
    if (consumed !== none) this.consumed = [];
    const spent = this.spending.take(this.hooks.now());
    try {
      const options = spent === undefined ? { barrier: withBarrier, consumed } : { barrier: withBarrier, consumed, spent };
      const { vault } = this;
      return this.hooks.record(vault.isEmpty ? runs : runs.map((run) => vault.record(run)), options) ?? undefined;
    } catch (cause) {
      // Nothing more is handed over to a hook that failed.
      this.finish({ kind: "aborted", cause });
      return undefined;
    }
  }

  /** Before the end: also what was spent after the last record. */
  private handOverAll(): void {
    if (this.pending.length > 0 || this.consumed.length > 0 || this.spending.isCounted) {
      this.give(false)?.catch((cause: unknown) => this.finish({ kind: "aborted", cause }));
    }
  }

  private waiting(): Waits {
    this.waits ??= new Waits();
    return this.waits;
  }

  /** While other nodes work: goes on with what waits as soon as its time has come. */
  private setTimer(waits: Waits): void {
    const atMs = waits.soonestMs;
    if (waits.size === 0 || !Number.isFinite(atMs) || (this.timer !== undefined && this.timer.atMs <= atMs)) return;
    this.timer?.stop.abort();
    const timer = { atMs, stop: new AbortController() };
    this.timer = timer;
    const ms = Math.min(longestTimerMs, Math.max(0, atMs - this.hooks.now()));
    this.hooks.sleep(ms, timer.stop.signal).then(
      () => {
        if (this.done || this.timer !== timer) return;
        this.timer = undefined;
        waits.wakeDue(this.hooks.now());
        this.pump();
      },
      () => undefined,
    );
  }

  /** Everything that can go on has ended, but some nodes wait: for their next try, for a time, or for something to arrive. */
  private release(): void {
    const { waits, parked } = this;
    const nowMs = this.hooks.now();
    if (waits !== undefined) {
      this.consumed.push(
        ...waits.dropArrived((path) => (path === budgetPath ? this.budget?.isAsking !== true : this.root.isPathOver(path))),
      );
      if (waits.wakeDue(nowMs)) return;
    }
    if (waits !== undefined && waits.size > 0) {
      this.finish(this.waitOutcome(waits));
      return;
    }
    const [first, ...others] = parked;
    if (first === undefined) {
      this.finish({ kind: "aborted", cause: new Error("the graph has nodes that can never run") });
      return;
    }
    const soonest = others.reduce((least, each) => (each.dueMs < least.dueMs ? each : least), first);
    for (const each of parked) if (each !== soonest) this.noteRetry(each);
    this.finish({ kind: "backoff", node: soonest.work.path, delayMs: Math.max(0, soonest.dueMs - nowMs) });
  }

  private waitOutcome(waits: Waits): TaskOutcome {
    const retries = this.parked.map((parked) => this.noteRetry(parked));
    const listed = soonestFirst([...waits.list(), ...retries]);
    return { kind: "wait", waits: listed, waitCount: waits.size + retries.length, seen: waits.seen };
  }

  /** Stores when a next try is due, so that the next attempt, which something else may bring sooner, keeps to the pause. */
  private noteRetry({ work, error, sinceMs, dueMs }: Parked): NodeWaitFact {
    const wait = { kind: "retry" as const, reason: "It waits for its next try.", untilMs: dueMs };
    work.graph.push(work.record("waiting", { wait, sinceMs, ...(error === undefined ? {} : { error }) }), work);
    return { ...wait, node: work.path, sinceMs };
  }

  private async end(): Promise<void> {
    if (this.ending) return;
    this.ending = true;
    try {
      const output = this.root.output();
      const value = output instanceof Promise ? await output : output;
      const outputJson = this.root.textOf(value);
      if (outputJson === undefined) throw new ExpressionError(`the output is larger than ${maxOutputBytes} bytes`, "/output");
      this.finish({ kind: "succeeded", outputJson });
    } catch (thrown) {
      if (!(thrown instanceof ExpressionError)) this.hooks.unexpected?.(this.vault.thrown(thrown), "");
      const { node: _none, ...error } = this.outputFailure(thrown);
      this.finish({ kind: "failed", error });
    }
  }

  private outputFailure(thrown: unknown): Failure {
    if (!(thrown instanceof ExpressionError))
      return failure("expression_error", "the output could not be put together", "", false);
    const why = "the output could not be evaluated; why is withheld, because it uses secret values";
    return this.workflow.outputWithholds
      ? failure("expression_error", why, "", false)
      : expressionFailure(thrown, "", this.vault);
  }
}
