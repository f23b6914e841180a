import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  ChangeKind,
  type WorkflowServiceDiffRequest,
  type WorkflowServiceDiffResponse,
  WorkflowServiceDiffResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf, valueFromJson } from "@longhaul/shared";
import { diffDefinitions, type NodeChange, type ValueChange } from "@longhaul/workflow";
import type { SchedulerDeps } from "../deps.ts";

export async function diff(
  deps: SchedulerDeps,
  request: WorkflowServiceDiffRequest,
  context: HandlerContext,
): Promise<WorkflowServiceDiffResponse> {
  const project = projectOf(context);
  for (const [name, revision] of [["from", request.from] as const, ["to", request.to] as const]) {
    if (revision >= 0) continue;
    const message = "a revision is 1 or more; leave it out for the usual one";
    throw new LonghaulError("invalid_argument", `${name}: ${message}`, { faults: [{ pointer: `/${name}`, message }] });
  }
  const { revision: later } = await deps.catalog.get(project, request.name, request.to);
  // The first revision has none before it: it is compared with itself.
  const from = request.from === 0 ? Math.max(1, later.revision - 1) : request.from;
  const { revision: earlier } = await deps.catalog.get(project, request.name, from);
  const found = diffDefinitions(earlier.definition, later.definition);
  return create(WorkflowServiceDiffResponseSchema, {
    from: earlier.revision,
    to: later.revision,
    same: found.same,
    nodes: found.nodes.map(nodeMessage),
    edges: found.edges.map((edge) => ({ ...edge, change: kinds[edge.change] })),
    input: found.input.map(valueMessage),
    output: found.output.map(valueMessage),
    limits: found.limits.map(valueMessage),
    about: found.about.map(valueMessage),
    omitted: found.omitted,
  });
}

const kinds = {
  added: ChangeKind.ADDED,
  removed: ChangeKind.REMOVED,
  changed: ChangeKind.CHANGED,
} as const satisfies Record<NodeChange["change"], ChangeKind>;

function nodeMessage({ node, change, kind, changes }: NodeChange) {
  return { node, change: kinds[change], kind, changes: changes.map(valueMessage) };
}

function valueMessage({ pointer, before, after, cut }: ValueChange) {
  return {
    pointer,
    ...(before !== undefined && { before: valueFromJson(before) }),
    ...(after !== undefined && { after: valueFromJson(after) }),
    cut,
  };
}
