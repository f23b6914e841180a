import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type TaskServiceListNodeRunsRequest,
  type TaskServiceListNodeRunsResponse,
  TaskServiceListNodeRunsResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf } from "@longhaul/shared";
import { showNodeRuns } from "../../tasks/node-run-message.ts";
import { notFound } from "../../tasks/watch-task.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 100;
/** Large values of one page, together. */
const maxValueBytes = 8_388_608;

export async function listNodeRuns(
  deps: SchedulerDeps,
  request: TaskServiceListNodeRunsRequest,
  context: HandlerContext,
): Promise<TaskServiceListNodeRunsResponse> {
  const key = { project: projectOf(context), id: request.taskId.toLowerCase() };
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["number", "number", "string"]);
  const [stored] = await deps.store.get([key]);
  if (stored === undefined) throw notFound(request.taskId);
  const after = place && { attempt: place[0], report: place[1], path: place[2] };
  const runs = await deps.store.listNodeRuns(key, limit + 1, after);
  const page = runs.slice(0, limit);
  const last = runs.length > limit ? page.at(-1) : undefined;
  return create(TaskServiceListNodeRunsResponseSchema, {
    nodes: await showNodeRuns(deps.payloads, stored.task, page, maxValueBytes),
    nextPageToken: last === undefined ? "" : pageToken([last.attempt, last.report, last.path]),
  });
}
