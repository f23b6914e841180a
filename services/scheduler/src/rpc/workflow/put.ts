import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Json } from "@longhaul/core";
import {
  type WorkflowServicePutRequest,
  type WorkflowServicePutResponse,
  WorkflowServicePutResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import type { SchedulerDeps } from "../deps.ts";
import { revisionMessage } from "./workflow-message.ts";

export async function put(
  deps: SchedulerDeps,
  request: WorkflowServicePutRequest,
  context: HandlerContext,
): Promise<WorkflowServicePutResponse> {
  // The path names the workflow; a definition that names itself as well must agree.
  const definition = { name: request.name, ...request.definition } as Json;
  const { head, revision } = await deps.catalog.put(projectOf(context), request.name, definition);
  return create(WorkflowServicePutResponseSchema, { workflow: revisionMessage(head, revision, true) });
}
