import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { isEnded } from "@longhaul/core";
import {
  type TaskServiceGetRequest,
  type TaskServiceGetResponse,
  TaskServiceGetResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf } from "@longhaul/shared";
import { tellUnserved } from "../../jobs/tell-unserved.ts";
import { showTask } from "../../tasks/read-tasks.ts";
import { waitForTask } from "../../tasks/watch-task.ts";
import type { SchedulerDeps } from "../deps.ts";

const longestWaitMs = 60_000;

export async function get(
  deps: SchedulerDeps,
  request: TaskServiceGetRequest,
  context: HandlerContext,
): Promise<TaskServiceGetResponse> {
  const key = { project: projectOf(context), id: request.id.toLowerCase() };
  const known = Number(request.ifNoneMatch);
  const waitMs = request.wait === undefined ? 0 : Math.min(longestWaitMs, durationMs(request.wait));
  const isEnough = known === 0 ? isEnded : (task: { readonly version: number }) => task.version !== known;
  const task = await waitForTask(deps, key, isEnough, waitMs, context.signal);
  if (known !== 0 && task.version === known) return create(TaskServiceGetResponseSchema, { unchanged: true });
  const shown = await showTask(deps.payloads, task);
  tellUnserved(deps.seenFunctions, [shown]);
  return create(TaskServiceGetResponseSchema, { task: shown });
}
