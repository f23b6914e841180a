import type { Path } from "../expression/scope.ts";
import type { CompiledTemplate } from "../expression/template.ts";
import type { Faults } from "./faults.ts";
import { nearest } from "./nearest.ts";

/** Where a template stands, as far as its references are concerned. */
export interface Place {
  /** Id of the node, empty for `output`. */
  readonly node: string;
  /** Every node id of the definition. */
  readonly known: ReadonlySet<string>;
  /** What comes before the node; undefined where everything may be used, or where a cycle leaves it open. */
  readonly ancestors: ReadonlySet<string> | undefined;
}

/** What `task` holds: nothing that changes between attempts, so that a node tried again sees the same. */
export const taskFields = ["id", "workflow", "revision", "createTime", "labels", "priority"] as const;

/** Checks that what a template refers to can be there when it is evaluated. */
export function checkReferences(template: CompiledTemplate, place: Place, faults: Faults): void {
  for (const { path, pointer } of template.references) {
    const found = fault(path, place);
    if (found) faults.add(pointer, found[0], found[1], place.node);
  }
}

function fault([root, key]: Path, place: Place): readonly [string, string] | undefined {
  if (root === "item" || root === "index") return [`${root} exists only inside a foreach node`, "Use input or nodes."];
  if (key === undefined) return undefined;
  if (root === "task") {
    if ((taskFields as readonly string[]).includes(key)) return undefined;
    const near = nearest(key, taskFields);
    return [`task has no field "${key}"`, near === undefined ? `It has ${taskFields.join(", ")}.` : `Did you mean task.${near}?`];
  }
  return root === "nodes" || root === "errors" ? nodeFault(root, key, place) : undefined;
}

function nodeFault(root: string, id: string, { node, known, ancestors }: Place): readonly [string, string] | undefined {
  if (id === node) return [`${root}.${id} is the node itself`, "A node cannot use its own result."];
  if (!known.has(id)) {
    const near = nearest(id, [...known]);
    return [
      `${root}.${id} is used, but there is no such node`,
      near === undefined ? `The nodes are ${[...known].slice(0, 20).join(", ")}.` : `Did you mean ${root}.${near}?`,
    ];
  }
  if (ancestors !== undefined && !ancestors.has(id))
    return [`${root}.${id} is used, but "${id}" does not come before this node`, `Add "${id}" to its needs.`];
  return undefined;
}
