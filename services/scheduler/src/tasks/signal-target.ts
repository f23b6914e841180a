import { type FieldFault, type Json, LonghaulError, type Task, type WaitKind } from "@longhaul/core";
import { type CompiledWorkflow, inputValidator, kinds } from "@longhaul/workflow";
import { definitionAt, type JsonObject, nodesOf, objectOf } from "./definition-at.ts";

/** A node of a workflow's definition that a value can be handed to. */
export interface Target {
  /** Path of the node in the task. */
  readonly node: string;
  /** What is wrong with a payload, with pointers below `/input`. */
  readonly faultsOf: (payload: Json) => readonly FieldFault[];
}

/** Waits that any node may come to, whatever its kind, and that a value from outside ends. */
const answerable: ReadonlySet<WaitKind> = new Set<WaitKind>(["signal", "approval", "callback", "budget"]);

/** Where the engine waits for leave to go on over a ceiling. */
const budgetNode = "$budget";

/** The node of this path. Throws `invalid_argument` when there is none, or it takes nothing. */
export function targetByPath(compiled: CompiledWorkflow, path: string, waitsFor: WaitKind | undefined): Target {
  if (path === budgetNode) return { node: path, faultsOf: anything };
  const definition = definitionAt(compiled, path);
  if (definition === undefined) throw wrong("/node", `Workflow "${compiled.name}" has no node "${path.slice(0, 300)}".`);
  const accepts = acceptedBy(definition);
  if (accepts !== undefined) return { node: path, faultsOf: accepts.faultsOf };
  if (waitsFor !== undefined && answerable.has(waitsFor)) return { node: path, faultsOf: anything };
  throw wrong("/node", `Node "${path}" takes neither a signal nor an approval.`);
}

/**
 * The node that takes the signal of this name: one that waits for it before one that does not yet. Nodes inside a `foreach` are found by
 * name only while they wait. Throws `invalid_argument` when none is found, and when it could be several.
 */
export function targetByName(compiled: CompiledWorkflow, name: string, task: Task): Target {
  const inside = namedNodes(compiled.definition, name, 0);
  const waiting = task.state === "waiting" ? task.waits.filter((wait) => wait.name === name).map(({ node }) => node) : [];
  const top = inside.filter(({ depth }) => depth === 0).map(({ id }) => id);
  const found = waiting.length > 0 ? waiting : top;
  const [node] = found;
  if (inside.length === 0 && waiting.length === 0)
    throw wrong("/name", `Workflow "${compiled.name}" has no node that takes the signal "${name.slice(0, 200)}".`);
  if (node === undefined)
    throw wrong(
      "/name",
      `The nodes for signal "${name}" are inside a foreach and none of them is known to wait; name one by its path as \`node\`.`,
    );
  if (found.length > 1)
    throw wrong(
      "/name",
      `${found.length} nodes take the signal "${name}": ${found.slice(0, 10).join(", ")}; name one of them as \`node\`.`,
    );
  return targetByPath(compiled, node, "signal");
}

/** Throws `invalid_input`, with pointers into the request, when the payload does not fit. */
export function checkPayload({ node, faultsOf }: Target, payload: Json): void {
  const faults = faultsOf(payload).map(({ pointer, message }) => ({
    pointer: pointer.replace(/^\/input/, "/payload"),
    message,
  }));
  if (faults.length === 0) return;
  throw new LonghaulError("invalid_input", `The payload does not fit the schema of node "${node}": ${faults[0]?.message ?? ""}`, {
    faults,
  });
}

function namedNodes(definition: Json, name: string, depth: number): readonly { readonly id: string; readonly depth: number }[] {
  return nodesOf(objectOf(definition)).flatMap((node) => [
    ...(acceptedBy(node)?.name === name ? [{ id: String(node["id"]), depth }] : []),
    ...namedNodes(node, name, depth + 1),
  ]);
}

/** By node of a definition, so that a schema is compiled once for as long as the definition is kept. */
const known = new WeakMap<JsonObject, Accepted | undefined>();

interface Accepted {
  readonly name: string | undefined;
  readonly faultsOf: Target["faultsOf"];
}

function acceptedBy(node: JsonObject): Accepted | undefined {
  if (known.has(node)) return known.get(node);
  const kind = node["kind"];
  const accepts = typeof kind === "string" ? kinds.get(kind)?.accepts?.(node) : undefined;
  const accepted = accepts && { name: accepts.name, faultsOf: inputValidator(accepts.schema) };
  known.set(node, accepted);
  return accepted;
}

const anything = (): readonly FieldFault[] => [];

function wrong(pointer: string, message: string): LonghaulError {
  return new LonghaulError("invalid_argument", message, { faults: [{ pointer, message }] });
}
