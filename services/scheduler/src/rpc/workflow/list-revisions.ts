import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkflowServiceListRevisionsRequest,
  type WorkflowServiceListRevisionsResponse,
  WorkflowServiceListRevisionsResponseSchema,
} from "@longhaul/proto/workflow_service";
import { projectOf } from "@longhaul/shared";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";
import { revisionMessage } from "./workflow-message.ts";

const defaultPageSize = 50;

export async function listRevisions(
  deps: SchedulerDeps,
  request: WorkflowServiceListRevisionsRequest,
  context: HandlerContext,
): Promise<WorkflowServiceListRevisionsResponse> {
  const project = projectOf(context);
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["number"]);
  const { head } = await deps.catalog.get(project, request.name, 0);
  const revisions = await deps.catalogStore.listRevisions(project, request.name, limit + 1, place?.[0]);
  const page = revisions.slice(0, limit);
  const last = revisions.length > limit ? page.at(-1) : undefined;
  return create(WorkflowServiceListRevisionsResponseSchema, {
    revisions: page.map((revision) => revisionMessage(head, revision, false)),
    nextPageToken: last === undefined ? "" : pageToken([last.revision]),
  });
}
