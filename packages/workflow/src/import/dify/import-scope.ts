import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { caseIds } from "./conditions.ts";
import { Findings } from "./import-report.ts";
import { selectorAt, textAt } from "./loose-fields.ts";
import { type OrderNames, onErrorOf, orderOf, reportUnknown, retryOf } from "./node-common.ts";
import { identifierOf, uniqueName } from "./node-ids.ts";
import { importers } from "./nodes/importers.ts";
import type { ImportedNode, NodeImport } from "./nodes/node-import.ts";
import { notCarried, placeholder } from "./nodes/placeholder.ts";
import type { DifyApp, DifyNode } from "./read-dify.ts";
import { type Names, type References, references, type Standpoint } from "./references.ts";
import { type ScopeFlow, scopeFlow } from "./scope-flow.ts";

/** One import under way. */
export interface Import {
  readonly app: DifyApp;
  readonly names: Names;
  /** Every id of the definition that is given. */
  readonly taken: Set<string>;
  readonly findings: Map<string, Findings>;
  /** Where a Dify node ended up: its path. */
  readonly paths: Map<string, string>;
}

/** What lies around the nodes of a scope. */
export interface Around {
  readonly before: ReadonlySet<string>;
  readonly certain: ReadonlySet<string>;
  readonly iterations: readonly string[];
  /** Path prefix of the nodes inside, such as `each.`; empty at the top. */
  readonly path: string;
}

/** Imports nodes that shape the graph themselves; undefined for a node that is none of them. */
export type SpecialImport = (it: NodeImport, scope: Scope, at: Standpoint) => readonly JsonObject[] | undefined;

/** The nodes of one level. */
export interface Scope {
  readonly task: Import;
  readonly flow: ScopeFlow;
  readonly around: Around;
  readonly order: (id: string) => JsonObject;
  readonly special: SpecialImport;
}

export interface ImportedScope {
  readonly nodes: readonly JsonObject[];
  readonly flow: ScopeFlow;
}

/** Imports the nodes of one level that can run, in their order. */
export function importScope(
  task: Import,
  nodes: readonly DifyNode[],
  starts: ReadonlySet<string>,
  edges: DifyApp["edges"],
  around: Around,
  special: SpecialImport,
): ImportedScope {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const flow = scopeFlow(nodes, edges, starts, (id) => {
    const node = byId.get(id);
    return node?.type === "if-else" ? caseIds(node.data) : [];
  });
  for (const id of flow.unreached) {
    const note = byId.get(id)?.type === "note";
    findingsOf(task, id).lose(
      note ? "the note" : "the node",
      note ? "notes are for Dify's editor" : "nothing leads from the start to it, so it never runs in Dify",
      note ? "Keep the text elsewhere, if it matters." : "Connect it in Dify first, if it is to run.",
    );
  }
  const gates = new Map<string, string>();
  const gateOf = (source: string): string => {
    const known = gates.get(source);
    if (known !== undefined) return known;
    const gate = uniqueName(`${idOf(task, source)}_failed`, task.taken);
    gates.set(source, gate);
    return gate;
  };
  for (const id of flow.order) if (leadsNowhereOnFailure(byId.get(id), id, flow)) gateOf(id);
  const names: OrderNames = {
    idOf: (source) => task.names.ids.get(source),
    choiceOf: (source) => choiceFields.get(byId.get(source)?.type ?? "") ?? "selected_case_id",
    gateOf,
  };
  // Where a start leads to a node that waits for others as well, it must be a node itself to lead on.
  const joinsStart = flow.order.filter((id) => flow.followsStart(id) && flow.entries(id).length > 0);
  const start = joinsStart.length === 0 ? undefined : uniqueName("start", task.taken);
  const order = (id: string): JsonObject => orderOf(flow.entries(id), names, joinsStart.includes(id) ? start : undefined);
  const scope: Scope = { task, flow, around, order, special };
  const imported = flow.order.flatMap((id) => {
    const node = byId.get(id);
    return node === undefined ? [] : importNode(scope, node);
  });
  const failures = [...gates].map(([source, id]): JsonObject => {
    const failed = idOf(task, source);
    return { id, kind: "transform", needs: [{ node: failed, on: "failed" }], with: { error: `\${ errors.${failed}.message }` } };
  });
  const first: readonly JsonObject[] = start === undefined ? [] : [{ id: start, kind: "transform", with: {} }];
  return { nodes: [...first, ...imported, ...failures], flow };
}

/** Fields of the output that name the chosen case, where they are not `selected_case_id`. */
const choiceFields: ReadonlyMap<string, string> = new Map([
  ["question-classifier", "class_id"],
  ["human-input", "choice"],
]);

function leadsNowhereOnFailure(node: DifyNode | undefined, id: string, flow: ScopeFlow): boolean {
  if (node === undefined || node.type === "end" || textAt(node.data, "error_strategy") !== "fail-branch") return false;
  return !flow.order.some((other) => flow.entries(other).some(({ source, on }) => source === id && on !== "succeeded"));
}

export function findingsOf(task: Import, id: string): Findings {
  const known = task.findings.get(id) ?? new Findings();
  task.findings.set(id, known);
  return known;
}

export function idOf(task: Import, id: string): string {
  return task.names.ids.get(id) ?? id;
}

/** Where a node of the scope stands when it refers to others. */
export function standpointOf({ task, flow, around }: Scope, id: string): Standpoint {
  return {
    before: new Set([...around.before, ...flow.before(id)]),
    certain: new Set([...around.certain, ...flow.certain(id)]),
    iterations: around.iterations,
    findings: findingsOf(task, id),
  };
}

function importNode(scope: Scope, node: DifyNode): readonly JsonObject[] {
  const { task, around } = scope;
  const id = idOf(task, node.id);
  const at = standpointOf(scope, node.id);
  const it = nodeImport(task, node, id, at);
  task.paths.set(node.id, `${around.path}${id}`);
  const special = scope.special(it, scope, at);
  if (special !== undefined) return special;
  const importer = importers.get(node.type);
  if (importer === undefined) {
    const unknown = [
      `its type ${JSON.stringify(node.type.slice(0, 40))} is not known`,
      "Build it from Longhaul's own kinds.",
    ] as const;
    const [reason, mend] = notCarried.get(node.type) ?? unknown;
    return [whole(it, scope, placeholder(it, reason, mend))];
  }
  const imported = importer.run(it);
  reportUnknown(node.data, importer.keys, it.findings);
  return [whole(it, scope, imported)];
}

function nodeImport(task: Import, node: DifyNode, id: string, at: Standpoint): NodeImport {
  const context = selectorAt(contextOf(node.data), "variable_selector");
  const found: References = references(task.names, at, context);
  return { node, id, data: node.data, references: found, findings: at.findings, names: task.names };
}

function contextOf(data: JsonObject): JsonObject {
  const context = data["context"];
  return typeof context === "object" && context !== null && !Array.isArray(context) ? (context as JsonObject) : {};
}

/** The node with all that is the same for every type. */
export function whole({ node, id, data, findings }: NodeImport, { order }: Scope, imported: ImportedNode): JsonObject {
  const about = [node.title, textAt(data, "desc")].filter((text) => text !== "").join(": ");
  if (textAt(data, "error_strategy") === "fail-branch") findings.keep("fail branch");
  const made: Record<string, Json> = {
    id,
    kind: imported.kind,
    ...(about === "" || identifierOf(about) === id ? {} : { description: about.slice(0, 4096) }),
    ...order(node.id),
    with: imported.with,
    ...imported.beside,
    ...(imported.timeout === undefined ? {} : { timeout: imported.timeout }),
    ...retryOf(data, imported.kind, findings),
    ...onErrorOf(data, node.type, findings),
  };
  return made;
}
