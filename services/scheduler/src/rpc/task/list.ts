import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type TaskServiceListRequest,
  type TaskServiceListResponse,
  TaskServiceListResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf } from "@longhaul/shared";
import { tellUnserved } from "../../jobs/tell-unserved.ts";
import { showTasks } from "../../tasks/read-tasks.ts";
import { stateName } from "../../tasks/task-message.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 50;
/** Large values of one page, together; a task read by itself has all of its own. */
const maxValueBytes = 1_048_576;

export async function list(
  deps: SchedulerDeps,
  request: TaskServiceListRequest,
  context: HandlerContext,
): Promise<TaskServiceListResponse> {
  const project = projectOf(context);
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["number", "string"]);
  const states = request.state.flatMap((state) => stateName(state) ?? []);
  const labels = Object.keys(request.label).length > 0 ? { ...request.label } : undefined;
  const found = await deps.store.list({
    project,
    limit: limit + 1,
    ...(states.length > 0 && { states }),
    ...(request.workflow !== "" && { workflow: request.workflow }),
    ...(labels && { labels }),
    ...(request.q.trim() !== "" && { q: request.q.trim().slice(0, 200) }),
    // The store's bound is exclusive, the API's is not.
    ...(request.createdAfter && { createdAfter: timestampMs(request.createdAfter) - 1 }),
    ...(place && { after: { createTime: place[0], id: place[1] } }),
  });
  const page = found.slice(0, limit).map(({ task }) => task);
  const last = found.length > limit ? page.at(-1) : undefined;
  const tasks = await showTasks(deps.payloads, page, maxValueBytes);
  tellUnserved(deps.seenFunctions, tasks);
  return create(TaskServiceListResponseSchema, {
    tasks,
    nextPageToken: last === undefined ? "" : pageToken([last.createTime, last.id]),
  });
}
