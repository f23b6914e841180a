import type { Failure, Json } from "@longhaul/core";
import type { CompiledGraph, CompiledNode } from "../definition/compiled-workflow.ts";
import type { Scope } from "../expression/scope.ts";
import { type CompiledTemplate, ExpressionError } from "../expression/template.ts";
import { Suspension } from "../kinds/kind.ts";
import { failure, withheld } from "./failure.ts";
import { ForeachRun } from "./foreach-run.ts";
import { type GraphOwner, type GraphPlace, pick } from "./graph-place.ts";
import { InlineContext } from "./inline-context.ts";
import { NodeWork, triesBefore } from "./node-work.ts";
import { maxOutputBytes, outputText } from "./output-text.ts";
import { runNode, suspend, triedAndFailed } from "./run-node.ts";
import { Stopped } from "./run-try.ts";
import type { NodeRecord, StoredRun } from "./task-run.ts";
import type { TaskRunner } from "./task-runner.ts";

type Settled = "succeeded" | "failed" | "skipped";

/** One graph under way: that of the task, or that of one item of a `foreach`. */
export class GraphRun {
  readonly run: TaskRunner;
  readonly graph: CompiledGraph;
  readonly scope: GraphPlace["scope"];
  /** True once nothing of it matters any more: it has ended, failed, or is stopped. */
  isOver = false;
  /** Nodes that have not settled. */
  open: number;
  private readonly prefix: string;
  private readonly owner: GraphOwner;
  private readonly stored: ReadonlyMap<string, StoredRun> | undefined;
  private readonly states = new Map<string, Settled>();
  private readonly openNeeds: Int32Array;
  // The JSON of outputs, because the graph's own output is often just one of them.
  private readonly texts = new Map<Json, string>();
  // Made when first needed: most graphs never do.
  private stop: AbortController | undefined;
  private loops: Map<string, ForeachRun> | undefined;

  constructor(run: TaskRunner, graph: CompiledGraph, { prefix, owner, stored, scope }: GraphPlace) {
    this.run = run;
    this.graph = graph;
    this.prefix = prefix;
    this.owner = owner;
    this.stored = stored;
    this.scope = scope;
    this.open = graph.nodes.length;
    this.openNeeds = new Int32Array(graph.nodes.length);
  }

  /** Takes over what is stored and lines up the nodes that can run. */
  start(): void {
    const { nodes } = this.graph;
    if (this.stored !== undefined) for (const node of nodes) this.restore(node, this.stored.get(this.prefix + node.id));
    for (const node of nodes) {
      if (this.isOver) return;
      const { needs } = node;
      let open = 0;
      for (const need of needs) if (!this.states.has(need.node)) open++;
      this.openNeeds[node.index] = open;
      if (open === 0 && !this.states.has(node.id)) this.run.lineUp(this, node);
    }
    if (this.open === 0) this.owner.onSettled(this);
  }

  /** Ends it: nothing of it is recorded any more, and what is under way is aborted. */
  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.run.forget(this);
    if (this.loops !== undefined) for (const loop of this.loops.values()) loop.abort();
    this.stop?.abort();
  }

  /** Aborts when the graph has ended. */
  stopSignal(): AbortSignal {
    this.stop ??= new AbortController();
    if (this.isOver) this.stop.abort();
    return this.stop.signal;
  }

  /** Resolves after `ms`; rejects with Stopped as soon as the graph has ended. */
  async sleep(ms: number): Promise<void> {
    const signal = this.stopSignal();
    if (signal.aborted) throw new Stopped();
    let onStop: () => void = () => undefined;
    const stopped = new Promise<never>((_resolve, reject) => {
      onStop = () => reject(new Stopped());
    });
    signal.addEventListener("abort", onStop, { once: true });
    try {
      await Promise.race([this.run.hooks.sleep(ms, signal), stopped]);
    } catch (thrown) {
      throw signal.aborted ? new Stopped() : thrown;
    } finally {
      signal.removeEventListener("abort", onStop);
    }
  }

  storedRun(path: string): StoredRun | undefined {
    return this.stored?.get(path);
  }

  /** What a node's expressions see. */
  scopeOf(node: CompiledNode): Scope {
    if (!node.seesAll) return this.scope;
    const { nodes, errors } = this.scope;
    const seen = [...node.ancestors, node.id];
    return { ...this.scope, nodes: pick(nodes, seen), errors: pick(errors, seen) };
  }

  /** Takes a record of one of its nodes, and with it the arrival whose effect is in it. */
  push(record: NodeRecord, work?: NodeWork): void {
    this.owner.onOpened();
    this.run.push(record, work?.seq, record.outputJson?.length);
    if (work !== undefined) work.seq = undefined;
  }

  /** True where a node at the path, relative to this graph, can never wait for anything (again). */
  isPathOver(path: string): boolean {
    const [, id = "", index, rest = ""] = /^([^[]*)(?:\[([0-9]+)\]\.?(.*))?$/.exec(path) ?? [];
    if (this.isOver || this.states.has(id) || !this.graph.nodes.some((node) => node.id === id)) return true;
    if (index === undefined) return false;
    return this.loops?.get(id)?.isPathOver(Number(index), rest) ?? false;
  }

  begin(node: CompiledNode): void {
    if (this.isOver) return;
    const { prefix, stored } = this;
    const path = prefix === "" ? node.id : prefix + node.id;
    const before = stored?.get(path);
    const startTimeMs = this.run.hooks.now();
    if (before?.state === "waiting" && before.wait !== undefined && before.wait.kind !== "retry") {
      const work = new NodeWork(this, node, path, startTimeMs, before);
      suspend(work, before.wait, before.sinceMs ?? startTimeMs, true);
      return;
    }
    if (!this.leadsTo(node)) {
      this.skip(node, path, startTimeMs);
      return;
    }
    if (this.run.holdsBack(this, node)) return;
    try {
      const gate = node.when === undefined ? true : this.run.evaluator.evaluate(node.when, this.scopeOf(node), this.run.turn);
      if (gate instanceof Promise) this.run.launch(this.runGated(node, path, startTimeMs, gate));
      else if (isTrue(node, gate)) this.beginGated(node, path, startTimeMs);
      else this.skip(node, path, startTimeMs);
    } catch (thrown) {
      this.failBegun(node, path, thrown, startTimeMs);
    }
  }

  /** Ends a node with its output; `error` is what its `onError` turned into that. */
  succeed(
    node: CompiledNode,
    path: string,
    output: Json,
    startTimeMs: number,
    tries: number,
    work?: NodeWork,
    error?: Failure,
  ): void {
    const outputJson = outputText(output);
    if (outputJson === undefined) {
      const tooLarge = failure("output_too_large", `the output is larger than ${maxOutputBytes} bytes`, path, false);
      if (error === undefined) this.fail(node, path, tooLarge, startTimeMs, tries, work);
      else this.failForGood(node, path, tooLarge, startTimeMs, tries, work);
      return;
    }
    const endTimeMs = this.run.hooks.now();
    if (work === undefined && error === undefined && !node.secret) {
      this.run.push(
        { path, kind: node.kind.name, state: "succeeded", outputJson, startTimeMs, endTimeMs, tries },
        undefined,
        outputJson.length,
      );
    } else {
      const own = work ?? new NodeWork(this, node, path, startTimeMs, undefined);
      own.tries = tries;
      this.push(own.record("succeeded", { outputJson, endTimeMs, ...(error === undefined ? {} : { error }) }), own);
    }
    if (node.cache !== undefined && error === undefined && !this.run.vault.isIn(outputJson))
      this.run.results().keep(node, path, output);
    this.scope.nodes[node.id] = output;
    if (typeof output === "object" && output !== null) this.texts.set(output, outputJson);
    this.run.spending.nodeRuns++;
    this.settle(node, "succeeded");
  }

  /** Ends a node with a failure, or with what its `onError` makes of it. */
  fail(node: CompiledNode, path: string, error: Failure, startTimeMs: number, tries: number, work?: NodeWork): void {
    const { onError } = node;
    if (onError === undefined) {
      this.failForGood(node, path, error, startTimeMs, tries, work);
      return;
    }
    const shown = this.shownError(node, error);
    this.noteError(node, shown);
    const go = (output: Json) => this.succeed(node, path, output, startTimeMs, tries, work, shown);
    const give = (thrown: unknown) =>
      this.failForGood(node, path, triedAndFailed(this, node, path, thrown).error, startTimeMs, tries, work);
    try {
      const output =
        onError.output === undefined ? null : this.run.evaluator.evaluate(onError.output, this.scopeOf(node), this.run.turn);
      if (output instanceof Promise) {
        this.run.launch(
          output.then(
            (value) => (this.isOver ? undefined : go(value)),
            (thrown: unknown) => (this.isOver ? undefined : give(thrown)),
          ),
        );
      } else go(output);
    } catch (thrown) {
      give(thrown);
    }
  }

  /** The failure as it may be said and stored. */
  shownError({ withholds }: CompiledNode, error: Failure): Failure {
    return withholds ? withheld(error) : error;
  }

  /** The output of a graph of which every node has settled, and its JSON where that is known. */
  output(): Json | Promise<Json> {
    const { output, leaves } = this.graph;
    if (output !== undefined) return this.run.evaluator.evaluate(output, this.scope, this.run.turn);
    const { nodes } = this.scope;
    return Object.fromEntries(leaves.flatMap((id) => (nodes[id] === undefined ? [] : [[id, nodes[id]]])));
  }

  /** JSON of the graph's output, or undefined where it is too large. */
  textOf(output: Json): string | undefined {
    return (typeof output === "object" && output !== null ? this.texts.get(output) : undefined) ?? outputText(output);
  }

  /** A graph for one item of a `foreach` node of this one. */
  inner(node: CompiledNode, place: Omit<GraphPlace, "scope">, names: Pick<Scope, "item" | "index" | "locals">): GraphRun {
    const { nodes, errors } = this.scope;
    const scope = { ...this.scope, ...names, nodes: pick(nodes, node.ancestors), errors: pick(errors, node.ancestors) };
    return new GraphRun(this.run, node.inner ?? this.graph, { ...place, scope });
  }

  private restore(node: CompiledNode, run: StoredRun | undefined): void {
    if (run === undefined || run.state === "running" || run.state === "waiting" || this.isOver) return;
    this.states.set(node.id, run.state);
    this.open--;
    if (run.state === "succeeded") {
      this.scope.nodes[node.id] = run.output ?? null;
      if (run.error !== undefined) this.noteError(node, run.error);
    }
    if (run.state === "failed") {
      const error = storedError(run);
      this.noteError(node, error);
      if (!node.failureHandled) this.owner.onFailed(this, error);
    }
  }

  private settle(node: CompiledNode, state: Settled): void {
    this.states.set(node.id, state);
    this.open--;
    this.loops?.delete(node.id);
    const { nodes } = this.graph;
    const { openNeeds } = this;
    for (const index of node.successors) {
      const successor = nodes[index];
      openNeeds[index] = (openNeeds[index] ?? 0) - 1;
      if (successor && openNeeds[index] === 0 && !this.states.has(successor.id)) this.run.lineUp(this, successor);
    }
    if (this.open === 0) this.owner.onSettled(this);
  }

  private leadsTo(node: CompiledNode): boolean {
    return node.needs.length === 0 || node.needs.some((need) => this.states.get(need.node) === need.on);
  }

  private skip(node: CompiledNode, path: string, atMs: number): void {
    this.run.push({ path, kind: node.kind.name, state: "skipped", startTimeMs: atMs, endTimeMs: atMs, tries: 0 });
    this.settle(node, "skipped");
  }

  private failForGood(
    node: CompiledNode,
    path: string,
    error: Failure,
    startTimeMs: number,
    tries: number,
    work: NodeWork | undefined,
  ): void {
    const own = work ?? new NodeWork(this, node, path, startTimeMs, undefined);
    own.tries = tries;
    const shown = this.shownError(node, error);
    this.push(own.record("failed", { error: shown, endTimeMs: this.run.hooks.now() }), own);
    this.run.spending.nodeRuns++;
    this.noteError(node, shown);
    if (node.failureHandled) this.settle(node, "failed");
    else this.owner.onFailed(this, shown);
  }

  private failBegun(node: CompiledNode, path: string, thrown: unknown, startTimeMs: number): void {
    const { error } = triedAndFailed(this, node, path, thrown);
    this.fail(node, path, error, startTimeMs, triesBefore(this.stored?.get(path)) + 1);
  }

  private noteError({ id }: CompiledNode, error: Failure): void {
    const { code, message, retryable, details = {} } = error;
    this.scope.errors[id] = { code, message, retryable, details };
  }

  private async runGated(node: CompiledNode, path: string, startTimeMs: number, gate: Promise<Json>): Promise<void> {
    try {
      const open = isTrue(node, await gate);
      if (this.isOver) return;
      if (open) this.beginGated(node, path, startTimeMs);
      else this.skip(node, path, startTimeMs);
    } catch (thrown) {
      if (!this.isOver) this.failBegun(node, path, thrown, startTimeMs);
    }
  }

  private beginGated(node: CompiledNode, path: string, startTimeMs: number): void {
    if (node.cache === undefined) this.beginInput(node, path, startTimeMs);
    else this.run.launch(this.runCached(node, path, startTimeMs, node.cache));
  }

  private beginInput(node: CompiledNode, path: string, startTimeMs: number): void {
    const input = this.run.evaluator.evaluate(node.input, this.scopeOf(node), this.run.turn);
    if (input instanceof Promise) this.run.launch(this.runWithInput(node, path, startTimeMs, input));
    else this.beginWork(node, path, startTimeMs, input);
  }

  private async runWithInput(node: CompiledNode, path: string, startTimeMs: number, input: Promise<Json>): Promise<void> {
    try {
      const value = await input;
      if (!this.isOver) this.beginWork(node, path, startTimeMs, value);
    } catch (thrown) {
      if (!this.isOver) this.failBegun(node, path, thrown, startTimeMs);
    }
  }

  private beginWork(node: CompiledNode, path: string, startTimeMs: number, input: Json): void {
    const { kind } = node;
    if (kind.inline) {
      const output = kind.run(new InlineContext(this.run.hooks, path, input));
      const tries = triesBefore(this.stored?.get(path)) + 1;
      if (output instanceof Promise) throw new Error(`the kind ${kind.name} is inline, but answers later`);
      if (!(output instanceof Suspension)) {
        this.succeed(node, path, output, startTimeMs, tries);
        return;
      }
      const work = new NodeWork(this, node, path, startTimeMs, undefined);
      work.tries = tries;
      suspend(work, output.wait, startTimeMs);
      return;
    }
    if (kind.nested !== true) {
      this.run.launch(runNode(new NodeWork(this, node, path, startTimeMs, this.stored?.get(path)), input));
      return;
    }
    const loop = new ForeachRun(this, node, path, input, this.stored, startTimeMs);
    this.loops ??= new Map();
    this.loops.set(node.id, loop);
    loop.begin();
  }

  private async runCached(
    node: CompiledNode,
    path: string,
    startTimeMs: number,
    cache: { readonly key: CompiledTemplate },
  ): Promise<void> {
    try {
      const key = await this.run.evaluator.evaluate(cache.key, this.scopeOf(node), this.run.turn);
      const kept = await this.run.results().find(node, path, key);
      if (this.isOver) return;
      if (kept === undefined) this.beginInput(node, path, startTimeMs);
      else this.succeed(node, path, kept, startTimeMs, 0);
    } catch (thrown) {
      if (!this.isOver) this.failBegun(node, path, thrown, startTimeMs);
    }
  }
}

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
