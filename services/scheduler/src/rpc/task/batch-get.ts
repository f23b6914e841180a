import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type TaskServiceBatchGetRequest,
  type TaskServiceBatchGetResponse,
  TaskServiceBatchGetResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf } from "@longhaul/shared";
import { tellUnserved } from "../../jobs/tell-unserved.ts";
import { showTasks } from "../../tasks/read-tasks.ts";
import type { SchedulerDeps } from "../deps.ts";
import { checkIds } from "./check-ids.ts";

/** Large values of one answer, together. */
const maxValueBytes = 8_388_608;

export async function batchGet(
  deps: SchedulerDeps,
  request: TaskServiceBatchGetRequest,
  context: HandlerContext,
): Promise<TaskServiceBatchGetResponse> {
  const project = projectOf(context);
  const ids = checkIds(request.ids);
  const found = await deps.store.get(ids.map((id) => ({ project, id })));
  const known = found.flatMap((stored) => (stored === undefined ? [] : [stored.task]));
  const tasks = await showTasks(deps.payloads, known, maxValueBytes);
  tellUnserved(deps.seenFunctions, tasks);
  return create(TaskServiceBatchGetResponseSchema, {
    tasks,
    missing: ids.filter((_, i) => found[i] === undefined),
  });
}
