import type { DefinitionFault, Json } from "@longhaul/core";
import { pointerTo } from "../expression/pointer.ts";
import type { Scope } from "../expression/scope.ts";
import { ExpressionError } from "../expression/template.ts";
import type { CompiledGraph, CompiledNode } from "./compiled-workflow.ts";
import { dryForeach } from "./dry-foreach.ts";
import { type DryResult, dryKind } from "./dry-kind.ts";
import type { DryNode, DryTask } from "./dry-node.ts";
import { TimeIsUp } from "./dry-turn.ts";
import { type DryValue, defineUnknown, dryValue, type Unevaluated, UnknownValue } from "./dry-values.ts";
import { faultList } from "./faults.ts";
import { checkNode } from "./shape-faults.ts";

/** Where a graph stands in a dry run. */
export interface DryPlace {
  /** What is before the path of its nodes, such as `each[3].`; empty at the top. */
  readonly prefix: string;
  /** What its nodes see from around them. */
  readonly scope: Scope;
}

/** How a walk ended. */
export interface DryEnd {
  /** Path of the node whose failure is that of the graph; empty where there is none. */
  readonly failsAt: string;
  readonly code: string;
  readonly message: string;
  /** The graph's output, where it does not fail. */
  readonly output: DryValue;
}

/** How a node ended, as far as others are concerned. */
type Ending = { readonly lead: "succeeded" | "failed" | "skipped" } | { readonly lead: "unknown"; readonly why: string };

/** Walks the nodes of a graph, each behind what it needs, and evaluates its output. Rejects only with what nobody expects. */
export async function dryGraph(graph: CompiledGraph, task: DryTask, place: DryPlace): Promise<DryEnd> {
  const walk = new DryWalk(graph, task, place);
  for (const node of graph.nodes) await walk.step(node);
  return walk.end();
}

class DryWalk {
  private readonly graph: CompiledGraph;
  private readonly task: DryTask;
  private readonly place: DryPlace;
  private readonly outputs: Record<string, Json>;
  private readonly errors: Record<string, Json>;
  private readonly endings = new Map<string, Ending>();
  private failure = { failsAt: "", code: "", message: "" };

  constructor(graph: CompiledGraph, task: DryTask, place: DryPlace) {
    this.graph = graph;
    this.task = task;
    this.place = place;
    this.outputs = copied(place.scope.nodes);
    this.errors = copied(place.scope.errors);
  }

  async step(node: CompiledNode): Promise<void> {
    const { task } = this;
    const at = task.list.reserve(this.blank(node));
    task.list.fill(at, task.stopped === "" ? await this.guarded(node) : this.notReached(node, task.stopped));
  }

  async end(): Promise<DryEnd> {
    const { failure, task, graph } = this;
    if (failure.failsAt !== "" || task.stopped !== "") return { ...failure, output: notKnown("/output", task.stopped) };
    const { pointer, source } = graph.output ?? { pointer: "/output", source: this.leavesOutput() };
    const scope = { ...this.place.scope, nodes: this.outputs, errors: this.errors };
    try {
      return { ...failure, output: await dryValue(task.run, source, pointer, "", scope) };
    } catch (error) {
      task.stopped = reasonOf(error);
      return { ...failure, output: notKnown(pointer, task.stopped) };
    }
  }

  /** Where a definition gives no output, the outputs of the nodes that no other needs are it. */
  private leavesOutput(): Json {
    const leaves = this.graph.leaves.filter((id) => Object.hasOwn(this.outputs, id));
    return Object.fromEntries(leaves.map((id) => [id, `\${ nodes[${JSON.stringify(id)}] }`]));
  }

  private async guarded(node: CompiledNode): Promise<DryNode> {
    try {
      await this.task.run.turn.take();
      if (this.task.signal.aborted) throw new TimeIsUp("the dry run was ended");
      return await this.begin(node);
    } catch (error) {
      this.task.stopped = reasonOf(error);
      return this.notReached(node, this.task.stopped);
    }
  }

  private async begin(node: CompiledNode): Promise<DryNode> {
    const led = this.leads(node);
    if (led.lead === "unknown") return this.notReached(node, led.why);
    if (led.lead === "skipped") return this.skip(node, led.why);
    const scope = this.scopeOf(node);
    const { run } = this.task;
    if (node.when !== undefined) {
      const gate = await dryValue(run, node.when.source, node.when.pointer, node.id, scope);
      const [error] = gate.errors;
      if (error !== undefined) return this.fail(node, gate.errors, error.message);
      const [open] = gate.unknown;
      if (open !== undefined)
        return { ...this.notReached(node, `whether it runs is not known: ${open.why}`), notEvaluated: gate.unknown };
      if (gate.value === false) return this.skip(node, "its when is false");
      if (gate.value !== true) {
        const message = `when must be true or false, but it is ${gate.value === null ? "null" : typeof gate.value}`;
        const fault = { pointer: node.when.pointer, node: node.id, message, mend: "Compare the value with something." };
        return this.fail(node, [fault], message);
      }
    }
    return this.work(node, await dryValue(run, node.input.source, node.input.pointer, node.id, scope), scope);
  }

  private async work(node: CompiledNode, input: DryValue, scope: Scope): Promise<DryNode> {
    const { list, recorded } = this.task;
    const where = node.input.pointer;
    const deferred = [...node.deferred.keys()].map(
      (at): Unevaluated => ({ pointer: where + at, why: "it is evaluated when an answer is there" }),
    );
    const notEvaluated = [...input.unknown, ...deferred];
    const seen = { ...list.shown("with", node, node.kind.redact?.(input.shown) ?? input.shown), notEvaluated };
    const [error] = input.errors;
    if (error !== undefined) return { ...(await this.failOrGoOn(node, input.errors, error.message, scope)), ...seen };
    const misfits = input.unknown.length > 0 || node.deferred.size > 0 ? [] : shapeFaults(node, input.shown);
    const [misfit] = misfits;
    if (misfit !== undefined) return { ...(await this.failOrGoOn(node, misfits, misfit.message, scope)), ...seen };
    const path = this.pathOf(node);
    if (recorded.has(path)) {
      this.outputs[node.id] = recorded.get(path) ?? null;
      this.endings.set(node.id, { lead: "succeeded" });
      return { ...this.blank(node), ...seen, outputFrom: "recorded" };
    }
    const result = await this.result(node, input, path);
    if (result.kind === "failed") {
      const fault = { pointer: where, node: node.id, message: result.message, mend: "Correct the with, or the sample." };
      return { ...(await this.failOrGoOn(node, [fault], result.message, scope, result.code)), ...seen };
    }
    this.endings.set(node.id, { lead: "succeeded" });
    if (result.kind === "unknown") {
      defineUnknown(this.outputs, node.id, result.why);
      return { ...this.blank(node), ...seen };
    }
    this.outputs[node.id] = result.output;
    const output = result.shown === undefined ? {} : list.shown("output", node, result.shown);
    return { ...this.blank(node), ...seen, outputFrom: "computed", ...output };
  }

  private result(node: CompiledNode, input: DryValue, path: string): Promise<DryResult> {
    const { inner } = node;
    if (inner === undefined) return dryKind(node, input, path, this.task);
    return dryForeach(input, this.task, path, (prefix, names) => {
      const { locals } = this.place.scope;
      const scope = {
        ...this.place.scope,
        ...names,
        ...(names.locals === undefined ? {} : { locals: { ...locals, ...names.locals } }),
        nodes: this.seenBy(node, this.outputs),
        errors: this.seenBy(node, this.errors),
      };
      return dryGraph(inner, this.task, { prefix, scope });
    });
  }

  private pathOf(node: CompiledNode): string {
    return this.place.prefix + node.id;
  }

  private blank(node: CompiledNode): DryNode {
    return {
      path: this.pathOf(node),
      kind: node.kind.name,
      state: "would_run",
      why: "",
      outputFrom: "unknown",
      errors: [],
      notEvaluated: [],
    };
  }

  private notReached(node: CompiledNode, why: string): DryNode {
    this.endings.set(node.id, { lead: "unknown", why });
    defineUnknown(this.outputs, node.id, why);
    return { ...this.blank(node), state: "not_evaluated", why };
  }

  private skip(node: CompiledNode, why: string): DryNode {
    this.endings.set(node.id, { lead: "skipped" });
    return { ...this.blank(node), state: "skipped", why };
  }

  private fail(node: CompiledNode, faults: readonly DefinitionFault[], why: string, code = "expression_error"): DryNode {
    this.errors[node.id] = { code, message: why, retryable: false, details: {} };
    if (node.failureHandled) this.endings.set(node.id, { lead: "failed" });
    else {
      const path = this.pathOf(node);
      if (this.failure.failsAt === "") this.failure = { failsAt: path, code, message: why };
      this.endings.set(node.id, {
        lead: "unknown",
        why: `node "${path}" would fail, and the ${this.place.prefix === "" ? "task" : "item"} with it`,
      });
      defineUnknown(this.outputs, node.id, `node "${path}" would fail`);
    }
    return { ...this.blank(node), state: "would_fail", why, errors: faults };
  }

  /** A failure, or what the node's own `onError` makes of it. */
  private async failOrGoOn(
    node: CompiledNode,
    faults: readonly DefinitionFault[],
    why: string,
    scope: Scope,
    code = "expression_error",
  ): Promise<DryNode> {
    const { onError } = node;
    if (onError === undefined) return this.fail(node, faults, why, code);
    const error: Json = { code, message: why, retryable: false, details: {} };
    this.errors[node.id] = error;
    const own = { ...this.place.scope, nodes: scope.nodes, errors: copied(scope.errors) };
    own.errors[node.id] = error;
    const source = onError.output?.source ?? null;
    const output = await dryValue(this.task.run, source, onError.output?.pointer ?? "", node.id, own);
    this.endings.set(node.id, { lead: "succeeded" });
    if (output.value === undefined) defineUnknown(this.outputs, node.id, output.unknown[0]?.why ?? "its onError fails");
    else this.outputs[node.id] = output.value;
    return {
      ...this.blank(node),
      state: "would_fail",
      why: `${why}; it goes on by its onError`,
      errors: [...faults, ...output.errors],
    };
  }

  /** Whether one of the needs leads here; a node without needs is led to. */
  private leads(node: CompiledNode): { readonly lead: "yes" } | { readonly lead: "unknown" | "skipped"; readonly why: string } {
    if (node.needs.length === 0) return { lead: "yes" };
    const ended = node.needs.map((need) => ({ need, ending: this.endings.get(need.node) }));
    if (ended.some(({ need, ending }) => ending?.lead === need.on)) return { lead: "yes" };
    for (const { ending } of ended) if (ending?.lead === "unknown") return { lead: "unknown", why: ending.why };
    const names = ended.map(({ need, ending }) =>
      need.on === "failed" && ending?.lead === "succeeded"
        ? `"${need.node}" is taken as succeeded`
        : `"${need.node}" ${ending?.lead === "skipped" ? "is skipped" : "fails"}`,
    );
    return { lead: "skipped", why: `nothing leads to it: ${names.slice(0, 5).join(", ")}` };
  }

  private scopeOf(node: CompiledNode): Scope {
    return { ...this.place.scope, nodes: this.seenBy(node, this.outputs), errors: this.seenBy(node, this.errors) };
  }

  /** What a node sees of all: what is around, and what comes before it. Unknown values stay unknown. */
  private seenBy(node: CompiledNode, all: Record<string, Json>): Record<string, Json> {
    const seen: Record<string, Json> = {};
    const own = new Set(this.graph.nodes.map(({ id }) => id));
    for (const [id, property] of Object.entries(Object.getOwnPropertyDescriptors(all)))
      if (!own.has(id) || node.ancestors.has(id)) Object.defineProperty(seen, id, property);
    return seen;
  }
}

function copied(values: Readonly<Record<string, Json>>): Record<string, Json> {
  const copy: Record<string, Json> = {};
  Object.defineProperties(copy, Object.getOwnPropertyDescriptors(values));
  return copy;
}

function notKnown(pointer: string, why: string): DryValue {
  return { value: undefined, shown: null, unknown: [{ pointer, why }], errors: [] };
}

function reasonOf(error: unknown): string {
  if (error instanceof TimeIsUp || error instanceof UnknownValue || error instanceof ExpressionError) return error.message;
  throw error;
}

/** What the kind's schema and checks say about an evaluated `with`. */
function shapeFaults(node: CompiledNode, input: Json): readonly DefinitionFault[] {
  const faults = faultList();
  const where = node.input.pointer;
  const place = where.slice(0, -"/with".length);
  checkNode(node.kind.name, { ...node.definition, ...(input === null ? {} : { with: input }) }, place, node.id, faults);
  if (faults.list.length === 0)
    for (const { pointer, message, mend } of node.kind.check?.(input) ?? []) faults.add(where + pointer, message, mend, node.id);
  return faults.list.filter(({ pointer }) => pointer === where || pointer.startsWith(pointerTo(where, "")));
}
