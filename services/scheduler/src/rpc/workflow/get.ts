import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkflowServiceGetRequest,
  type WorkflowServiceGetResponse,
  WorkflowServiceGetResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import type { SchedulerDeps } from "../deps.ts";
import { revisionMessage } from "./workflow-message.ts";

export async function get(
  deps: SchedulerDeps,
  request: WorkflowServiceGetRequest,
  context: HandlerContext,
): Promise<WorkflowServiceGetResponse> {
  const { head, revision } = await deps.catalog.get(projectOf(context), request.name, request.revision);
  return create(WorkflowServiceGetResponseSchema, { workflow: revisionMessage(head, revision, true) });
}
