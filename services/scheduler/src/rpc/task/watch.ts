import type { HandlerContext } from "@connectrpc/connect";
import type { TaskServiceWatchRequest, TaskServiceWatchResponse } from "@longhaul/proto/task_service";
import { projectOf } from "@longhaul/shared";
import { watchTask } from "../../tasks/watch-task.ts";
import type { SchedulerDeps } from "../deps.ts";

export function watch(
  deps: SchedulerDeps,
  request: TaskServiceWatchRequest,
  context: HandlerContext,
): AsyncIterable<TaskServiceWatchResponse> {
  return watchTask(deps, { project: projectOf(context), id: request.id.toLowerCase() }, request.lastEventId, context.signal);
}
