import type { Path } from "../expression/scope.ts";
import type { CompiledTemplate } from "../expression/template.ts";
import type { Faults } from "./faults.ts";
import { nearest } from "./nearest.ts";
import { secretName } from "./secret-uses.ts";

/** Where a template stands, as far as its references are concerned. */
export interface Place {
  /** Id of the node, empty for `output`. */
  readonly node: string;
  /** Every node id of the definition. */
  readonly known: ReadonlySet<string>;
  /** What comes before the node; undefined where everything may be used, or where a cycle leaves it open. */
  readonly ancestors: ReadonlySet<string> | undefined;
  /** How the node is called in faults; its id if not given. */
  readonly name?: string;
  /** Id of the `foreach` node around it, and the ids that are outside of that. */
  readonly outside?: { readonly foreach: string; readonly known: ReadonlySet<string> } | undefined;
  /** True where the node's own failure may be used. */
  readonly hasOwnError?: boolean;
  /** True for a part of `with` that its kind evaluates itself, with `response`. */
  readonly hasResponse?: boolean;
}

/** What `task` holds: nothing that changes between attempts, so that a node tried again sees the same. */
export const taskFields = ["id", "workflow", "revision", "createTime", "labels", "priority"] as const;

/** Checks that what a template refers to can be there when it is evaluated. */
export function checkReferences(template: CompiledTemplate, place: Place, faults: Faults): void {
  for (const { path, pointer } of template.references) {
    const found = fault(path, place);
    if (found) faults.add(pointer, found[0], found[1], place.name ?? place.node);
  }
}

function fault([root, key]: Path, place: Place): readonly [string, string] | undefined {
  if (root === "item" || root === "index")
    return place.outside === undefined ? [`${root} exists only inside a foreach node`, "Use input or nodes."] : undefined;
  if (root === "response")
    return place.hasResponse ? undefined : ["response exists only in what is evaluated after an answer", "Use input or nodes."];
  if (root === "secrets") return secretFault(key);
  if (key === undefined) return undefined;
  if (root === "task") {
    if ((taskFields as readonly string[]).includes(key)) return undefined;
    const near = nearest(key, taskFields);
    return [`task has no field "${key}"`, near === undefined ? `It has ${taskFields.join(", ")}.` : `Did you mean task.${near}?`];
  }
  return root === "nodes" || root === "errors" ? nodeFault(root, key, place) : undefined;
}

function secretFault(name: string | undefined): readonly [string, string] | undefined {
  if (name === undefined) return ["secrets is used without the name of one", "Write secrets.NAME: only what is named is read."];
  if (secretName.test(name)) return undefined;
  return [
    `"${name.slice(0, 128)}" can't be the name of a secret`,
    "Names are letters, digits and underscores, and begin with no digit.",
  ];
}

function nodeFault(root: string, id: string, place: Place): readonly [string, string] | undefined {
  const { node, known, ancestors, outside, hasOwnError } = place;
  if (id === node && root === "errors" && hasOwnError === true) return undefined;
  if (id === node) return [`${root}.${id} is the node itself`, "A node cannot use its own result."];
  if (!known.has(id)) {
    const near = nearest(id, [...known]);
    return [
      `${root}.${id} is used, but there is no such node`,
      near === undefined ? `The nodes are ${[...known].slice(0, 20).join(", ")}.` : `Did you mean ${root}.${near}?`,
    ];
  }
  if (ancestors === undefined || ancestors.has(id)) return undefined;
  if (outside?.known.has(id) === true) {
    const mend = id === outside.foreach ? "Use it behind that node." : `Add "${id}" to the needs of "${outside.foreach}".`;
    return [`${root}.${id} is used, but "${id}" does not come before "${outside.foreach}", which this is inside of`, mend];
  }
  return [`${root}.${id} is used, but "${id}" does not come before this node`, `Add "${id}" to its needs.`];
}
