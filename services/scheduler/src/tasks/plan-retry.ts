import { type EndedTask, LonghaulError, type NodeRun, type PayloadStore } from "@longhaul/core";
import type { CompiledWorkflow } from "@longhaul/workflow";
import type { Catalog } from "../workflows/catalog.ts";
import { definitionAt } from "./definition-at.ts";
import { readPayloads } from "./payloads.ts";
import type { RetryPlan } from "./retry-task.ts";

/**
 * What a retry keeps of an ended task. `from` is the node from which on everything runs again, empty for none; with `isLatest` the new task
 * runs the latest revision. Throws `invalid_argument` for a node that the revision does not have, `workflow_not_found`, and
 * `invalid_input` when the input does not fit the revision.
 */
export async function planRetry(
  deps: { readonly catalog: Catalog; readonly payloads: PayloadStore },
  old: EndedTask,
  { from, isLatest }: { readonly from: string; readonly isLatest: boolean },
): Promise<RetryPlan> {
  if (from === "" && !isLatest) return { revision: old.revision, keeps: isOfNode, mark: "" };
  const { compiled, revision } = isLatest ? await latest(deps, old) : await same(deps, old);
  const dropped = from === "" ? new Set<string>() : behind(compiled, from);
  return {
    revision,
    keeps: (run) => isOfNode(run) && !dropped.has(topOf(run.path)) && (!isLatest || fits(compiled, run)),
    mark: ` ${isLatest ? "latest" : "same"} ${from}`,
  };
}

async function same({ catalog }: { readonly catalog: Catalog }, { project, workflow, revision }: EndedTask) {
  return { compiled: await catalog.compiledOf(project, workflow, revision), revision };
}

async function latest(deps: { readonly catalog: Catalog; readonly payloads: PayloadStore }, old: EndedTask) {
  const { compiled, checksInput, revision } = await deps.catalog.resolve(old.project, old.workflow, 0);
  if (checksInput && revision.revision !== old.revision) {
    const [json = "null"] = await readPayloads(deps.payloads, [old.input], Number.POSITIVE_INFINITY);
    const faults = compiled.validateInput(JSON.parse(json));
    if (faults.length > 0) {
      const message = `The task's input does not fit revision ${revision.revision}: ${faults[0]?.message ?? ""}`;
      throw new LonghaulError("invalid_input", message, { faults });
    }
  }
  return { compiled, revision: revision.revision };
}

/** The node itself and everything that is reached from it. */
function behind({ name, nodes }: CompiledWorkflow, from: string): ReadonlySet<string> {
  const first = nodes.find(({ id }) => id === from);
  if (first === undefined) {
    const message = `Workflow "${name}" has no node "${from.slice(0, 200)}"; its nodes are ${nodes
      .slice(0, 20)
      .map(({ id }) => id)
      .join(", ")}.`;
    throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/from", message }] });
  }
  const reached = new Set([first]);
  for (const node of reached) {
    for (const index of node.successors) {
      const next = nodes[index];
      if (next !== undefined) reached.add(next);
    }
  }
  return new Set([...reached].map(({ id }) => id));
}

/** The workflow's own node that a path belongs to: `each` of `each[3].summary`. */
function topOf(path: string): string {
  return path.split("[", 1)[0] ?? "";
}

/** What the engine keeps for itself, such as leave to go on over a ceiling, was for one task only. */
function isOfNode({ path }: NodeRun): boolean {
  return !path.startsWith("$");
}

/** Whether the revision has a node of this path and kind. An item of a `foreach` as such is a part of that node. */
function fits(compiled: CompiledWorkflow, { path, kind }: NodeRun): boolean {
  const item = /^(.*)\[\d+\]$/.exec(path)?.[1];
  const definition = definitionAt(compiled, item ?? path);
  return definition !== undefined && definition["kind"] === (item === undefined ? kind : "foreach");
}
