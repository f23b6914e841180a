import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkflowServiceListRequest,
  type WorkflowServiceListResponse,
  WorkflowServiceListResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";
import { headMessage } from "./workflow-message.ts";

const defaultPageSize = 50;

export async function list(
  deps: SchedulerDeps,
  request: WorkflowServiceListRequest,
  context: HandlerContext,
): Promise<WorkflowServiceListResponse> {
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["string"]);
  const heads = await deps.catalogStore.listHeads(projectOf(context), limit + 1, place?.[0]);
  const page = heads.slice(0, limit);
  const last = heads.length > limit ? page.at(-1) : undefined;
  return create(WorkflowServiceListResponseSchema, {
    workflows: page.map(headMessage),
    nextPageToken: last === undefined ? "" : pageToken([last.name]),
  });
}
