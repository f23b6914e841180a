import type { DefinitionFault, Json, RetryRule } from "@longhaul/core";
import { type JsonObject, setOwn } from "../expression/cel-value.ts";
import { pointerTo } from "../expression/pointer.ts";
import { type CompiledTemplate, compileTemplate, maxExpressionText, type TextBudget } from "../expression/template.ts";
import type { NodeKind } from "../kinds/kind.ts";
import { kinds } from "../kinds/registry.ts";
import { checkReferences, type Place } from "./check-references.ts";
import type { CompiledNode, CompiledWorkflow, Need, WorkflowLimits } from "./compiled-workflow.ts";
import { durationMs, longestMs } from "./duration.ts";
import { type Faults, faultList } from "./faults.ts";
import { ancestors, executionOrder, findCycle, type GraphNode, successors } from "./graph.ts";
import { checkInputSchema, inputValidator } from "./input-schema.ts";
import { nearest } from "./nearest.ts";
import { checkHead, checkNode } from "./shape-faults.ts";
import { maxNodes } from "./workflow-schema.ts";

export type CompileResult =
  | { readonly ok: true; readonly workflow: CompiledWorkflow }
  | { readonly ok: false; readonly faults: readonly DefinitionFault[] };

/** A node of a definition that fits the schema of its kind. */
interface NodeDefinition {
  readonly id: string;
  readonly kind: string;
  readonly needs?: readonly (string | { readonly node: string; readonly on?: "succeeded" | "failed" })[];
  readonly when?: string | boolean;
  readonly with?: Json;
  readonly timeout?: string;
  readonly retry?: {
    readonly attempts?: number;
    readonly delay?: string;
    readonly factor?: number;
    readonly max?: string;
    readonly jitter?: number;
  };
}

/** One node on its way: where it stands, and what is known of it so far. */
interface Draft {
  readonly pointer: string;
  readonly definition: NodeDefinition;
  readonly kind: NodeKind;
  readonly needs: readonly Need[];
  readonly when: CompiledTemplate | undefined;
  readonly input: CompiledTemplate | undefined;
}

/** What is shared by all checks of one definition. */
interface Context {
  readonly faults: Faults;
  readonly budget: TextBudget;
}

const maxDepth = 64;

/**
 * Checks a definition and makes it ready to run. Reports every fault it can find at once, at most 100, each with the place, the node and
 * what to do. Pure and synchronous; takes about a millisecond for a small workflow.
 */
export function compileWorkflow(definition: unknown): CompileResult {
  const faults = faultList();
  const plain = plainJson(definition);
  if (plain === undefined) {
    faults.add("", "the definition is not JSON, or nested deeper than 64 levels", "Send an object with name and nodes.");
    return { ok: false, faults: faults.list };
  }
  const headFits = checkHead(plain, faults);
  if (typeof plain !== "object" || plain === null || Array.isArray(plain)) return { ok: false, faults: faults.list };
  const top = plain as JsonObject;
  checkLimits(top["limits"], faults);
  const input = top["input"];
  if (input !== undefined)
    for (const { pointer, message, mend } of checkInputSchema(input)) faults.add(`/input${pointer}`, message, mend);
  const listed = Array.isArray(top["nodes"]) ? (top["nodes"] as readonly Json[]) : [];
  const context: Context = { faults, budget: { left: maxExpressionText } };
  const drafts = headFits || listed.length <= maxNodes ? draftNodes(listed, context) : [];
  const output = top["output"] === undefined ? undefined : template(top["output"], "/output", "", context);
  checkGraph(drafts, listed, output, faults);
  if (faults.list.length > 0) return { ok: false, faults: faults.list };
  return { ok: true, workflow: assemble(top, drafts, output) };
}

/** The value, if it is JSON of a bearable depth; what callers hold may have been parsed by anything. */
function plainJson(value: unknown, depth = 0): Json | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "object" || depth >= maxDepth) return undefined;
  if (Array.isArray(value)) {
    const items = value.map((item) => plainJson(item, depth + 1));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) {
    const plain = plainJson(item, depth + 1);
    if (plain === undefined) return undefined;
    setOwn(copy, key, plain);
  }
  return copy;
}

function checkLimits(limits: Json | undefined, faults: Faults): void {
  if (typeof limits !== "object" || limits === null || Array.isArray(limits)) return;
  checkDuration((limits as JsonObject)["deadline"], "/limits/deadline", "", faults);
}

function checkDuration(value: Json | undefined, pointer: string, node: string, faults: Faults): void {
  // The form is the schema's concern; what it cannot say is how long is too long, and that zero is no time.
  if (typeof value !== "string" || !/^[0-9]{1,9}(ms|s|m|h|d)$/.test(value)) return;
  const ms = durationMs(value);
  if (ms === undefined) faults.add(pointer, `${value} is longer than 366 days`, `Give at most ${longestMs / 86_400_000}d.`, node);
  else if (ms === 0 && !pointer.endsWith("/delay"))
    faults.add(pointer, `${value} is no time at all`, "Give at least 1ms, or leave it out.", node);
}

function draftNodes(listed: readonly Json[], context: Context): readonly Draft[] {
  const drafts: Draft[] = [];
  const places = new Map<string, string>();
  for (const [index, node] of listed.entries()) {
    const pointer = `/nodes/${index}`;
    const draft = draftNode(node, pointer, context);
    const id = idOf(node);
    const earlier = id === undefined ? undefined : places.get(id);
    if (id !== undefined && earlier !== undefined) {
      context.faults.add(`${pointer}/id`, `the id "${id}" is already that of ${earlier}`, "Give every node its own id.", id);
    } else if (draft) drafts.push(draft);
    if (id !== undefined && earlier === undefined) places.set(id, pointer);
  }
  return drafts;
}

function idOf(node: Json): string | undefined {
  const id = typeof node === "object" && node !== null && !Array.isArray(node) ? (node as JsonObject)["id"] : undefined;
  return typeof id === "string" ? id : undefined;
}

function draftNode(node: Json, pointer: string, context: Context): Draft | undefined {
  const { faults } = context;
  const id = idOf(node) ?? "";
  if (typeof node !== "object" || node === null || Array.isArray(node)) {
    faults.add(pointer, "a node must be an object", "Give it an id, a kind and what the kind needs.");
    return undefined;
  }
  const kindName = (node as JsonObject)["kind"];
  const kind = typeof kindName === "string" ? kinds.get(kindName) : undefined;
  if (kind === undefined) {
    reportKind(kindName, pointer, id, faults);
    return undefined;
  }
  const fits = checkNode(kind.name, node, pointer, id, faults);
  const loose = node as JsonObject;
  checkDuration(loose["timeout"], `${pointer}/timeout`, id, faults);
  if (typeof loose["retry"] === "object" && loose["retry"] !== null) {
    const retry = loose["retry"] as JsonObject;
    checkDuration(retry["delay"], `${pointer}/retry/delay`, id, faults);
    checkDuration(retry["max"], `${pointer}/retry/max`, id, faults);
  }
  const input = template(loose["with"] ?? null, `${pointer}/with`, id, context);
  const when = loose["when"] === undefined ? undefined : whenTemplate(loose["when"], `${pointer}/when`, id, context);
  if (!fits) return undefined;
  for (const problem of kind.check?.(loose["with"] ?? null) ?? [])
    faults.add(`${pointer}/with${problem.pointer}`, problem.message, problem.mend, id);
  // The schema has just said that it is one.
  const definition = node as unknown as NodeDefinition;
  const needs = (definition.needs ?? []).map(
    (need): Need =>
      typeof need === "string" ? { node: need, on: "succeeded" } : { node: need.node, on: need.on ?? "succeeded" },
  );
  return { pointer, definition, kind, needs, when, input };
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

function template(source: Json, pointer: string, node: string, { faults, budget }: Context): CompiledTemplate | undefined {
  const result = compileTemplate(source, pointer, budget);
  if (result.ok) return result.template;
  for (const problem of result.problems) faults.add(problem.pointer, problem.message, problem.mend, node);
  return undefined;
}

function whenTemplate(source: Json, pointer: string, node: string, context: Context): CompiledTemplate | undefined {
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

function checkGraph(
  drafts: readonly Draft[],
  listed: readonly Json[],
  output: CompiledTemplate | undefined,
  faults: Faults,
): void {
  const listedIds = listed.flatMap((node) => idOf(node) ?? []);
  const known = new Set(listedIds);
  for (const { pointer, definition, needs } of drafts) checkNeeds(pointer, definition.id, needs, known, faults);
  const graph = graphOf(drafts, known);
  const cycle = findCycle(graph);
  if (cycle !== undefined) {
    const [first = ""] = cycle;
    const at = drafts.find(({ definition }) => definition.id === first);
    faults.add(
      `${at?.pointer ?? "/nodes"}/needs`,
      `the nodes need each other in a circle: ${cycle.slice(0, 20).join(" needs ")}`,
      "Remove one of these needs.",
      first,
    );
  }
  const before = cycle === undefined ? ancestors(graph) : undefined;
  // A node that did not compile has no place in the graph, so what comes behind it cannot be told for sure.
  const complete = drafts.length === listed.length;
  for (const draft of drafts) {
    const place: Place = { node: draft.definition.id, known, ancestors: complete ? before?.get(draft.definition.id) : undefined };
    for (const each of [draft.input, draft.when]) if (each) checkReferences(each, place, faults);
  }
  if (output) checkReferences(output, { node: "", known, ancestors: undefined }, faults);
}

function checkNeeds(pointer: string, id: string, needs: readonly Need[], known: ReadonlySet<string>, faults: Faults): void {
  const seen = new Set<string>();
  for (const [index, { node }] of needs.entries()) {
    const at = pointerTo(`${pointer}/needs`, index);
    if (seen.has(node)) faults.add(at, `"${node}" is needed twice`, "Keep one of them.", id);
    seen.add(node);
    if (node === id) faults.add(at, "a node cannot need itself", "Remove it.", id);
    else if (!known.has(node)) {
      const near = nearest(node, [...known]);
      faults.add(
        at,
        `needs "${node}", but there is no such node`,
        near === undefined ? `The nodes are ${[...known].slice(0, 20).join(", ")}.` : `Did you mean "${near}"?`,
        id,
      );
    }
  }
}

function graphOf(drafts: readonly Draft[], known: ReadonlySet<string>): readonly GraphNode[] {
  const compiled = new Set(drafts.map(({ definition }) => definition.id));
  return drafts.map(({ definition: { id }, needs }) => ({
    id,
    needs: needs.map(({ node }) => node).filter((node) => node !== id && known.has(node) && compiled.has(node)),
  }));
}

function assemble(top: JsonObject, drafts: readonly Draft[], output: CompiledTemplate | undefined): CompiledWorkflow {
  const graph = graphOf(drafts, new Set(drafts.map(({ definition }) => definition.id)));
  const order = executionOrder(graph);
  const places = new Map(order.map((id, index) => [id, index]));
  const followers = successors(graph);
  const before = ancestors(graph);
  const handled = new Set(drafts.flatMap(({ needs }) => needs.filter(({ on }) => on === "failed").map(({ node }) => node)));
  const byId = new Map(drafts.map((draft) => [draft.definition.id, draft]));
  const nodes = order.flatMap((id, index): readonly CompiledNode[] => {
    const draft = byId.get(id);
    if (draft?.input === undefined) return [];
    const { definition, kind, needs, when, input } = draft;
    return [
      {
        id,
        index,
        kind,
        needs,
        successors: (followers.get(id) ?? []).flatMap((next) => places.get(next) ?? []),
        when,
        input,
        timeoutMs:
          definition.timeout === undefined ? kind.defaultTimeoutMs : (durationMs(definition.timeout) ?? kind.defaultTimeoutMs),
        retry: retryRule(definition.retry),
        failureHandled: handled.has(id),
        ancestors: before.get(id) ?? new Set(),
        seesAll: [input, when].some((each) =>
          each?.paths.some(([root, key]) => (root === "nodes" || root === "errors") && key === undefined),
        ),
      },
    ];
  });
  const asyncForbiddenBy = nodes.filter(({ kind }) => !kind.supportsAsync).map(({ id }) => id);
  return {
    name: String(top["name"]),
    description: typeof top["description"] === "string" ? top["description"] : "",
    definition: top,
    nodes,
    limits: limitsOf(top["limits"]),
    output,
    leaves: nodes.filter(({ successors }) => successors.length === 0).map(({ id }) => id),
    supportsAsync: asyncForbiddenBy.length === 0,
    asyncForbiddenBy,
    validateInput: inputValidator(top["input"]),
  };
}

function retryRule(retry: NodeDefinition["retry"]): RetryRule {
  if (retry === undefined) return { attempts: 1, delayMs: 0, factor: 1, maxMs: 0, jitter: 0 };
  return {
    attempts: retry.attempts ?? 3,
    delayMs: durationMs(retry.delay ?? "1s") ?? 1000,
    factor: retry.factor ?? 2,
    maxMs: durationMs(retry.max ?? "30s") ?? 30_000,
    jitter: retry.jitter ?? 0.2,
  };
}

function limitsOf(limits: Json | undefined): WorkflowLimits {
  if (typeof limits !== "object" || limits === null) return {};
  const { concurrency, deadline, tokens } = limits as JsonObject;
  const deadlineMs = typeof deadline === "string" ? durationMs(deadline) : undefined;
  return {
    ...(typeof concurrency === "number" ? { concurrency } : {}),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(typeof tokens === "number" ? { tokens } : {}),
  };
}
