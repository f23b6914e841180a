import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { DefinitionFault, Json } from "@longhaul/core";
import {
  DryRunOutput,
  type DryRunSchema,
  DryRunState,
  type WorkflowServiceValidateRequest,
  type WorkflowServiceValidateResponse,
  WorkflowServiceValidateResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf, valueFromJson, valueToJson } from "@longhaul/shared";
import { type CompiledWorkflow, compileWorkflow, type DryNode, dryRun } from "@longhaul/workflow";

export async function validate(
  request: WorkflowServiceValidateRequest,
  context: HandlerContext,
): Promise<WorkflowServiceValidateResponse> {
  projectOf(context);
  const compiled = compileWorkflow(request.definition ?? {});
  if (!compiled.ok)
    return create(WorkflowServiceValidateResponseSchema, { valid: false, errors: compiled.faults.map(faultMessage) });
  return create(WorkflowServiceValidateResponseSchema, {
    valid: true,
    ...(request.input && { dryRun: await dryRunOf(compiled.workflow, valueToJson(request.input), request, context.signal) }),
  });
}

/** A fault as the API shows it. */
export function faultMessage({ pointer, node, message, mend }: DefinitionFault) {
  return { pointer, node, message, mend };
}

async function dryRunOf(
  workflow: CompiledWorkflow,
  input: Json,
  request: WorkflowServiceValidateRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof DryRunSchema>> {
  const recorded = Object.fromEntries(Object.entries(request.recorded).map(([path, value]) => [path, valueToJson(value)]));
  const found = await dryRun(workflow, { input, recorded }, { signal });
  return {
    nodes: found.nodes.map(nodeMessage),
    ...(found.output !== undefined && { output: valueFromJson(found.output) }),
    unknownOutput: [...found.unknownOutput],
    errors: found.errors.map(faultMessage),
    failsAt: found.failsAt,
    complete: found.complete,
    omitted: found.omitted,
  };
}

const states = {
  would_run: DryRunState.WOULD_RUN,
  would_fail: DryRunState.WOULD_FAIL,
  skipped: DryRunState.SKIPPED,
  not_evaluated: DryRunState.NOT_EVALUATED,
} as const satisfies Record<DryNode["state"], DryRunState>;

const sources = {
  recorded: DryRunOutput.RECORDED,
  computed: DryRunOutput.COMPUTED,
  unknown: DryRunOutput.UNKNOWN,
} as const satisfies Record<DryNode["outputFrom"], DryRunOutput>;

function nodeMessage(node: DryNode) {
  return {
    path: node.path,
    kind: node.kind,
    state: states[node.state],
    why: node.why,
    ...(node.with !== undefined && { with: valueFromJson(node.with) }),
    ...(node.output !== undefined && { output: valueFromJson(node.output) }),
    outputFrom: sources[node.outputFrom],
    errors: node.errors.map(faultMessage),
    notEvaluated: [...node.notEvaluated],
  };
}
