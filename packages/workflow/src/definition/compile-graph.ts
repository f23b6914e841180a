import type { Json } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import { objectOf } from "../expression/json-object.ts";
import { pointerTo } from "../expression/pointer.ts";
import type { CompiledTemplate } from "../expression/template.ts";
import { checkReferences, type Place } from "./check-references.ts";
import { type CompileContext, draftNode, idOf, type NodeDraft, rulesOf, template } from "./compile-node.ts";
import type { CompiledGraph, CompiledNode, Need } from "./compiled-workflow.ts";
import type { Faults } from "./faults.ts";
import { ancestors, executionOrder, findCycle, type GraphNode, successors } from "./graph.ts";
import { nearest } from "./nearest.ts";
import { maxNesting, maxNodes } from "./workflow-schema.ts";

/** A graph on its way: its nodes by themselves, and the graphs inside of them by id. */
export interface GraphDraft {
  readonly pointer: string;
  readonly listed: readonly Json[];
  readonly drafts: readonly NodeDraft[];
  readonly output: CompiledTemplate | undefined;
  readonly inner: ReadonlyMap<string, GraphDraft>;
}

/** What is around a graph: the `foreach` node that it belongs to, and what may be seen of the outside. */
export interface Surroundings {
  readonly foreach: string;
  /** Every id outside. */
  readonly known: ReadonlySet<string>;
  /** The ids outside that come before the `foreach`; undefined where that cannot be told. */
  readonly visible: ReadonlySet<string> | undefined;
}

/** Checks the nodes of a graph one by one, and those inside of them. */
export function draftGraph(source: JsonObject, pointer: string, context: CompileContext, nesting = 0): GraphDraft {
  const listed = Array.isArray(source["nodes"]) ? (source["nodes"] as readonly Json[]) : [];
  const drafts: NodeDraft[] = [];
  const inner = new Map<string, GraphDraft>();
  const places = new Map<string, string>();
  for (const [index, node] of listed.slice(0, maxNodes).entries()) {
    const at = pointerTo(`${pointer}/nodes`, index);
    const draft = draftNode(node, at, context);
    const id = idOf(node);
    const earlier = id === undefined ? undefined : places.get(id);
    if (id !== undefined && earlier !== undefined) {
      context.faults.add(
        `${at}/id`,
        `the id "${id}" is already that of ${earlier}`,
        "Give every node its own id.",
        context.prefix + id,
      );
    } else if (draft) {
      drafts.push(draft);
      if (draft.kind.nested === true) inner.set(draft.definition.id, draftInner(draft, context, nesting));
    }
    if (id !== undefined && earlier === undefined) places.set(id, at);
  }
  const output = source["output"] === undefined ? undefined : outputTemplate(source["output"], pointer, context);
  return { pointer, listed, drafts, output, inner };
}

function draftInner(draft: NodeDraft, context: CompileContext, nesting: number): GraphDraft {
  const { pointer, source, name } = draft;
  if (nesting + 1 >= maxNesting) {
    context.faults.add(pointer, `nodes are nested deeper than ${maxNesting} levels`, "Use a workflow node instead.", name);
    return { pointer, listed: [], drafts: [], output: undefined, inner: new Map() };
  }
  const as = localOf(draft);
  const locals = as === undefined ? context.locals : [...context.locals, as];
  return draftGraph(source, pointer, { ...context, locals, prefix: `${name}[].` }, nesting + 1);
}

/** The name that a `foreach` gives to its items. */
function localOf({ source }: NodeDraft): string | undefined {
  const { as } = objectOf(source["with"]);
  return typeof as === "string" ? as : undefined;
}

function outputTemplate(source: Json, pointer: string, context: CompileContext): CompiledTemplate | undefined {
  return template(source, `${pointer}/output`, context.prefix.slice(0, -"[].".length), context);
}

/** How many nodes a graph has, those inside of others included. */
export function countNodes({ drafts, inner }: GraphDraft): number {
  return [...inner.values()].reduce((sum, each) => sum + countNodes(each), drafts.length);
}

/** Checks what the nodes of a graph say about each other, and about what is around it. */
export function checkGraph(graph: GraphDraft, faults: Faults, around?: Surroundings): void {
  const { drafts, listed, output, inner } = graph;
  const own = new Set(listed.flatMap((node) => idOf(node) ?? []));
  const known = around === undefined ? own : new Set([...own, ...around.known]);
  for (const { pointer, name, definition, needs } of drafts) {
    checkNeeds(pointer, name, definition.id, needs, own, faults);
    if (around?.known.has(definition.id))
      faults.add(`${pointer}/id`, `the id "${definition.id}" is that of a node outside too`, "Give it another one.", name);
  }
  checkHandled(drafts, faults);
  const nodes = graphOf(drafts, own);
  const before = checkCycle(graph, nodes, faults) ? undefined : ancestors(nodes);
  // A node that did not compile has no place in the graph, so what comes behind it cannot be told for sure.
  const isComplete = drafts.length === listed.length;
  const seenBy = (id: string): ReadonlySet<string> | undefined => {
    const mine = isComplete ? before?.get(id) : undefined;
    if (around === undefined) return mine;
    return mine === undefined || around.visible === undefined ? undefined : new Set([...mine, ...around.visible]);
  };
  for (const draft of drafts) {
    const { id } = draft.definition;
    const place: Place = { node: id, name: draft.name, known, ancestors: seenBy(id), outside: around };
    for (const each of [draft.input, draft.when, draft.cacheKey]) if (each) checkReferences(each, place, faults);
    if (draft.onErrorOutput) checkReferences(draft.onErrorOutput, { ...place, hasOwnError: true }, faults);
    for (const each of draft.deferred.values()) checkReferences(each, { ...place, hasResponse: true }, faults);
    const nested = inner.get(id);
    if (nested) checkGraph(nested, faults, { foreach: id, known, visible: place.ancestors });
  }
  if (output) checkReferences(output, outputPlace(own, known, around), faults);
}

/** An output sees every node of its graph, and of the outside what comes before. */
function outputPlace(own: ReadonlySet<string>, known: ReadonlySet<string>, around: Surroundings | undefined): Place {
  const visible = around?.visible;
  return {
    node: "",
    name: around?.foreach ?? "",
    known,
    ancestors: visible === undefined ? undefined : new Set([...own, ...visible]),
    outside: around,
  };
}

function checkCycle({ drafts, pointer }: GraphDraft, nodes: readonly GraphNode[], faults: Faults): boolean {
  const cycle = findCycle(nodes);
  if (cycle === undefined) return false;
  const [first = ""] = cycle;
  const at = drafts.find(({ definition }) => definition.id === first);
  faults.add(
    `${at?.pointer ?? `${pointer}/nodes`}/needs`,
    `the nodes need each other in a circle: ${cycle.slice(0, 20).join(" needs ")}`,
    "Remove one of these needs.",
    at?.name ?? first,
  );
  return true;
}

/** A node that turns its failures into a success never leads on as failed. */
function checkHandled(drafts: readonly NodeDraft[], faults: Faults): void {
  const turned = new Set(
    drafts.flatMap(({ definition: { id, onError } }) => (onError === undefined || onError === "fail" ? [] : [id])),
  );
  for (const { pointer, name, needs } of drafts) {
    for (const [index, { node, on }] of needs.entries()) {
      if (on === "failed" && turned.has(node))
        faults.add(
          pointerTo(`${pointer}/needs`, index),
          `"${node}" never fails, because its onError turns every failure into a success`,
          `Remove onError from "${node}", or need it with on: succeeded and look at errors.`,
          name,
        );
    }
  }
}

function checkNeeds(
  pointer: string,
  name: string,
  id: string,
  needs: readonly Need[],
  known: ReadonlySet<string>,
  faults: Faults,
): void {
  const seen = new Set<string>();
  for (const [index, { node }] of needs.entries()) {
    const at = pointerTo(`${pointer}/needs`, index);
    if (seen.has(node)) faults.add(at, `"${node}" is needed twice`, "Keep one of them.", name);
    seen.add(node);
    if (node === id) faults.add(at, "a node cannot need itself", "Remove it.", name);
    else if (!known.has(node)) {
      const near = nearest(node, [...known]);
      faults.add(
        at,
        `needs "${node}", but there is no such node`,
        near === undefined ? `The nodes are ${[...known].slice(0, 20).join(", ")}.` : `Did you mean "${near}"?`,
        name,
      );
    }
  }
}

function graphOf(drafts: readonly NodeDraft[], known: ReadonlySet<string>): readonly GraphNode[] {
  const compiled = new Set(drafts.map(({ definition }) => definition.id));
  return drafts.map(({ definition: { id }, needs }) => ({
    id,
    needs: needs.map(({ node }) => node).filter((node) => node !== id && known.has(node) && compiled.has(node)),
  }));
}

/** What a graph sees of the outside, once it is known to be right. */
interface Outside {
  readonly visible: ReadonlySet<string>;
  /** Those of them whose output is secret. */
  readonly secret: ReadonlySet<string>;
  /** True when all of the graph is secret, and when its items are. */
  readonly isSecret: boolean;
  readonly withholds: boolean;
}

const openAir: Outside = { visible: new Set(), secret: new Set(), isSecret: false, withholds: false };

/** Puts a graph together that has no faults. */
export function assembleGraph(graph: GraphDraft, workflow: string, outside: Outside = openAir): CompiledGraph {
  const { drafts, output } = graph;
  const nodesOnly = graphOf(drafts, new Set(drafts.map(({ definition }) => definition.id)));
  const order = executionOrder(nodesOnly);
  const places = new Map(order.map((id, index) => [id, index]));
  const followers = successors(nodesOnly);
  const before = ancestors(nodesOnly);
  const handled = new Set(drafts.flatMap(({ needs }) => needs.filter(({ on }) => on === "failed").map(({ node }) => node)));
  const byId = new Map(drafts.map((draft) => [draft.definition.id, draft]));
  const secret = new Set(outside.secret);
  for (const { definition } of drafts) if (definition.secret === true || outside.isSecret) secret.add(definition.id);
  const nodes = order.flatMap((id, index): readonly CompiledNode[] => {
    const draft = byId.get(id);
    if (draft?.input === undefined) return [];
    const { kind, needs, when, input, deferred } = draft;
    const templates = [input, when, draft.onErrorOutput, draft.cacheKey, ...deferred.values()];
    const seen = new Set([...(before.get(id) ?? []), ...outside.visible]);
    const isSecret = secret.has(id);
    const withholds = isSecret || outside.withholds || templates.some((each) => seesSecret(each, secret, seen));
    const inner = graph.inner.get(id);
    return [
      {
        id,
        index,
        kind,
        needs,
        successors: (followers.get(id) ?? []).flatMap((next) => places.get(next) ?? []),
        when,
        input,
        deferred,
        failureHandled: handled.has(id),
        ancestors: seen,
        seesAll: templates.some(seesWhole),
        secret: isSecret,
        withholds,
        inner: inner && assembleGraph(inner, workflow, { visible: seen, secret, isSecret, withholds }),
        ...rulesOf(draft, workflow),
      },
    ];
  });
  return {
    nodes,
    output,
    outputWithholds: outside.withholds || seesSecret(output, secret, new Set([...places.keys(), ...outside.visible])),
    leaves: nodes.filter(({ successors }) => successors.length === 0).map(({ id }) => id),
  };
}

/** Whether it uses `nodes` or `errors` as a whole. */
function seesWhole(each: CompiledTemplate | undefined): boolean {
  return each?.paths.some(([root, key]) => (root === "nodes" || root === "errors") && key === undefined) ?? false;
}

function seesSecret(each: CompiledTemplate | undefined, secret: ReadonlySet<string>, seen: ReadonlySet<string>): boolean {
  if (each === undefined || secret.size === 0) return false;
  return each.paths.some(([root, key]) => root === "nodes" && (key === undefined ? overlaps(secret, seen) : secret.has(key)));
}

function overlaps(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (others.has(one)) return true;
  return false;
}
