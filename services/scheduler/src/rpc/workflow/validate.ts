import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkflowServiceValidateRequest,
  type WorkflowServiceValidateResponse,
  WorkflowServiceValidateResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import { compileWorkflow } from "@longhaul/workflow";

export function validate(request: WorkflowServiceValidateRequest, context: HandlerContext): WorkflowServiceValidateResponse {
  projectOf(context);
  const compiled = compileWorkflow(request.definition ?? {});
  const errors = compiled.ok ? [] : compiled.faults.map(({ pointer, node, message, mend }) => ({ pointer, node, message, mend }));
  return create(WorkflowServiceValidateResponseSchema, { valid: compiled.ok, errors });
}
