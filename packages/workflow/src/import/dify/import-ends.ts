import type { Json } from "@longhaul/core";
import { type JsonObject, setOwn } from "../../expression/cel-value.ts";
import { type Import, idOf, type Scope, whole } from "./import-scope.ts";
import { objectsAt, selectorAt, textAt } from "./loose-fields.ts";
import { reportUnknown } from "./node-common.ts";
import type { NodeImport } from "./nodes/node-import.ts";
import type { DifyNode } from "./read-dify.ts";
import type { Standpoint } from "./references.ts";
import type { ScopeFlow } from "./scope-flow.ts";
import { member, wrapped } from "./template-text.ts";

/** The ends of an app on their way to be the output of the workflow. */
export interface ImportedEnds {
  /** Imports one end; it is a node of its own only where the output must know whether it was reached. */
  take(it: NodeImport, scope: Scope, at: Standpoint): readonly JsonObject[];
  /** The workflow's output, when all ends were taken. */
  output(flow: ScopeFlow): Json | undefined;
}

/** Collects the ends of the top level. */
export function importEnds(task: Import, top: readonly DifyNode[]): ImportedEnds {
  const isOnly = top.filter(({ type }) => type === "end").length === 1;
  const taken: DifyNode[] = [];
  let direct: JsonObject | undefined;

  return {
    take(it, scope) {
      const { node, data, findings, references } = it;
      const outputs: Record<string, Json> = {};
      for (const one of objectsAt(data, "outputs")) {
        const name = textAt(one, "variable");
        setOwn(outputs, name, wrapped(references.value(selectorAt(one, "value_selector"))));
        findings.keep(`output ${name}`);
      }
      reportUnknown(data, ["outputs"], findings);
      if (isOnly && scope.flow.always(node.id) && isLast(scope.flow, node.id)) {
        direct = outputs;
        task.paths.set(node.id, "");
        return [];
      }
      taken.push(node);
      return [whole(it, scope, { kind: "transform", with: outputs })];
    },

    output(flow) {
      if (direct !== undefined) return direct;
      if (taken.length === 0) return undefined;
      const ids = taken.map(({ id }) => idOf(task, id));
      const isExclusive = taken.every((one, index) => taken.slice(index + 1).every((other) => flow.exclusive(one.id, other.id)));
      if (isExclusive) return wrapped(`${ids.map((id) => `has(nodes.${id}) ? nodes.${id} : `).join("")}{}`);
      return merged(task, taken);
    },
  };
}

function isLast(flow: ScopeFlow, id: string): boolean {
  return !flow.order.some((other) => flow.entries(other).some(({ source }) => source === id));
}

/** Several ends may be reached side by side: every output of all of them, null where its end was not reached. */
function merged(task: Import, ends: readonly DifyNode[]): JsonObject {
  const holders = new Map<string, string[]>();
  for (const end of ends) {
    const id = idOf(task, end.id);
    for (const one of objectsAt(end.data, "outputs")) {
      const name = textAt(one, "variable");
      holders.set(name, [...(holders.get(name) ?? []), id]);
    }
    task.findings
      .get(end.id)
      ?.change(
        "outputs",
        "an output whose end was not reached is null, and absent in Dify",
        "Ask for null where you asked whether it is there.",
      );
  }
  const output: Record<string, Json> = {};
  for (const [name, ids] of holders)
    setOwn(output, name, wrapped(`${ids.map((id) => `has(nodes.${id}) ? ${member(`nodes.${id}`, name)} : `).join("")}null`));
  return output;
}
