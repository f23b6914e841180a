import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkflowServiceDisableRequest,
  type WorkflowServiceDisableResponse,
  WorkflowServiceDisableResponseSchema,
  type WorkflowServiceEnableRequest,
  type WorkflowServiceEnableResponse,
  WorkflowServiceEnableResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import type { SchedulerDeps } from "../deps.ts";
import { headMessage } from "./workflow-message.ts";

export async function enable(
  deps: SchedulerDeps,
  request: WorkflowServiceEnableRequest,
  context: HandlerContext,
): Promise<WorkflowServiceEnableResponse> {
  const head = await deps.catalog.setEnabled(projectOf(context), request.name, true);
  return create(WorkflowServiceEnableResponseSchema, { workflow: headMessage(head) });
}

export async function disable(
  deps: SchedulerDeps,
  request: WorkflowServiceDisableRequest,
  context: HandlerContext,
): Promise<WorkflowServiceDisableResponse> {
  const head = await deps.catalog.setEnabled(projectOf(context), request.name, false);
  return create(WorkflowServiceDisableResponseSchema, { workflow: headMessage(head) });
}
