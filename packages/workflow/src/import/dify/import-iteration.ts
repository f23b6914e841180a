import type { JsonObject } from "../../expression/cel-value.ts";
import { type Around, findingsOf, type Import, importScope, type Scope, whole } from "./import-scope.ts";
import { isBlank, isObject, numberAt, objectAt, own, selectorAt, textAt } from "./loose-fields.ts";
import { reportUnknown } from "./node-common.ts";
import { uniqueName } from "./node-ids.ts";
import { innerStartTypes } from "./nodes/importers.ts";
import type { NodeImport } from "./nodes/node-import.ts";
import type { DifyApp, DifyNode } from "./read-dify.ts";
import { references, type Standpoint } from "./references.ts";
import { wrapped } from "./template-text.ts";

const keys = [
  "iterator_selector",
  "output_selector",
  "is_parallel",
  "parallel_nums",
  "error_handle_mode",
  "flatten_output",
  "iterator_input_type",
  "output_type",
  "startNodeType",
];

/** iteration: a foreach, and behind it a node that flattens or cleans the list, where Dify does so. */
export function importIteration(it: NodeImport, scope: Scope, at: Standpoint): readonly JsonObject[] {
  const { node, id, data, findings, references: outer } = it;
  const { task } = scope;
  const children = task.app.nodes.filter(({ parent }) => parent === node.id);
  const shaping = shapingOf(data, children);
  const eachId = shaping === undefined ? id : uniqueName(`${id}_each`, task.taken);
  const around: Around = {
    before: at.before,
    certain: at.certain,
    iterations: [node.id, ...at.iterations],
    path: `${scope.around.path}${eachId}.`,
  };
  task.paths.set(node.id, `${scope.around.path}${eachId}`);
  const { starts, edges } = beginningOf(task.app, node, children);
  const inner = importScope(task, children, starts, edges, around, scope.special);
  const result = references(task.names, {
    before: new Set([...at.before, ...inner.flow.order]),
    certain: new Set([...at.certain, ...inner.flow.order.filter((child) => inner.flow.always(child))]),
    iterations: around.iterations,
    findings,
  });
  for (const child of children) if (starts.has(child.id)) findingsOf(task, child.id).keep("start");
  reportUnknown(data, keys, findings);
  findings.keep("items", "output", "error handling");
  if (inner.nodes.length === 0) findings.lose("the inside", "there is no node in it", "Give foreach its nodes.");
  const isParallel = own(data, "is_parallel") === true;
  if (isParallel) findings.keep("parallel");
  const each = whole(it, scope, {
    kind: "foreach",
    with: {
      items: wrapped(outer.value(selectorAt(data, "iterator_selector"))),
      concurrency: isParallel ? Math.max(1, Math.floor(numberAt(data, "parallel_nums") ?? 10)) : 1,
      onItemError: textAt(data, "error_handle_mode", "terminated") === "terminated" ? "stop" : "continue",
    },
    beside: {
      nodes: inner.nodes.length > 0 ? inner.nodes : [nothing(task)],
      output: wrapped(result.value(selectorAt(data, "output_selector"))),
    },
  });
  if (hasErrorStrategy(data))
    findings.lose("flattening", "with an error strategy the list stays as it comes", "Flatten or clean it where it is used.");
  if (shaping === undefined) return [each];
  findings.change(
    "output",
    `the list is ${shaping.how} by the node "${id}" behind the foreach "${eachId}"`,
    "Remove it, if the plain list will do.",
  );
  return [
    { ...each, id: eachId },
    { id, kind: shaping.kind, needs: [eachId], with: shaping.with(eachId) },
  ];
}

/** A graph has a node at least. */
function nothing(task: Import): JsonObject {
  return { id: uniqueName("nothing", task.taken), kind: "transform", with: null };
}

interface Shaping {
  readonly how: string;
  readonly kind: string;
  with(eachId: string): JsonObject;
}

const flatten = `export default ({ results, dropNulls }) => {
  const kept = dropNulls ? results.filter((one) => one !== null) : results;
  const lists = kept.filter((one) => one !== null);
  const flat = lists.length > 0 && lists.every(Array.isArray);
  return { results: flat ? lists.flat() : kept };
};
`;

/** What Dify does to the list of results; undefined where it is the list as it comes. */
function shapingOf(data: JsonObject, children: readonly DifyNode[]): Shaping | undefined {
  // Whoever goes on behind a failure of the iteration must need the foreach itself.
  if (hasErrorStrategy(data)) return undefined;
  const dropNulls = textAt(data, "error_handle_mode") === "remove-abnormal-output";
  if (own(data, "flatten_output") !== false && mayBeList(selectorAt(data, "output_selector"), children)) {
    return {
      how: "flattened, where every result is a list,",
      kind: "code",
      with: (eachId) => ({ source: flatten, input: { results: wrapped(`nodes.${eachId}.results`), dropNulls } }),
    };
  }
  if (!dropNulls) return undefined;
  return {
    how: "cleaned of the items that failed",
    kind: "transform",
    with: (eachId) => ({ results: wrapped(`nodes.${eachId}.results.filter(one, one != null)`) }),
  };
}

function hasErrorStrategy(data: JsonObject): boolean {
  return ["fail-branch", "default-value"].includes(textAt(data, "error_strategy"));
}

const neverLists: ReadonlySet<string> = new Set([
  "template-transform.output",
  "llm.text",
  "llm.reasoning_content",
  "http-request.body",
  "http-request.status_code",
]);

function mayBeList([head, field = ""]: readonly string[], children: readonly DifyNode[]): boolean {
  const child = children.find(({ id }) => id === head);
  if (child === undefined) return true;
  if (neverLists.has(`${child.type}.${field}`)) return false;
  const type =
    child.type === "code"
      ? textAt(objectAt(objectAt(child.data, "outputs"), field), "type")
      : child.type === "variable-aggregator"
        ? textAt(child.data, "output_type")
        : "";
  return isBlank(type) || type === "any" || type.startsWith("array");
}

/** Where the inside begins: at a node made for that, until 0.1.x at the first node itself, else wherever nothing leads to. */
function beginningOf(
  app: DifyApp,
  { id, data }: DifyNode,
  children: readonly DifyNode[],
): { starts: ReadonlySet<string>; edges: DifyApp["edges"] } {
  const marked = children.filter(({ type }) => innerStartTypes.has(type)).map((child) => child.id);
  if (marked.length > 0) return { starts: new Set(marked), edges: app.edges };
  const inside = new Set(children.map((child) => child.id));
  const named = textAt(data, "start_node_id");
  const first = inside.has(named)
    ? [named]
    : [...inside].filter((child) => !app.edges.some(({ source, target }) => target === child && inside.has(source)));
  // An edge from the iteration itself stands for the start that is not there.
  return { starts: new Set([id]), edges: [...app.edges, ...first.map((target) => ({ source: id, handle: "source", target }))] };
}

/** Reports what lies inside a node that is not carried over. */
export function loseInside(task: Import, node: DifyNode): void {
  for (const child of task.app.nodes) {
    if (child.parent !== node.id) continue;
    findingsOf(task, child.id).lose(
      "the node",
      `it lies inside "${node.title || node.id}", which is not carried over`,
      "Build it anew with that node.",
    );
    if (isObject(child.data)) loseInside(task, child);
  }
}
