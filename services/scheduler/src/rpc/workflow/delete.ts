import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkflowServiceDeleteRequest,
  type WorkflowServiceDeleteResponse,
  WorkflowServiceDeleteResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import type { SchedulerDeps } from "../deps.ts";

export async function deleteWorkflow(
  deps: SchedulerDeps,
  request: WorkflowServiceDeleteRequest,
  context: HandlerContext,
): Promise<WorkflowServiceDeleteResponse> {
  await deps.catalog.delete(projectOf(context), request.name);
  return create(WorkflowServiceDeleteResponseSchema);
}
