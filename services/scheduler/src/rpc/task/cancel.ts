import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Task } from "@longhaul/core";
import {
  type TaskServiceBatchCancelRequest,
  type TaskServiceBatchCancelResponse,
  TaskServiceBatchCancelResponseSchema,
  type TaskServiceCancelRequest,
  type TaskServiceCancelResponse,
  TaskServiceCancelResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf } from "@longhaul/shared";
import { showTask, showTasks } from "../../tasks/read-tasks.ts";
import { notFound } from "../../tasks/watch-task.ts";
import type { SchedulerDeps } from "../deps.ts";
import { checkIds } from "./check-ids.ts";

const maxReason = 1_000;
/** Large values of one answer, together. */
const maxValueBytes = 1_048_576;

/** Cancels what has not ended; what has is left as it is. Undefined where there is no such task. */
async function cancelAll(
  deps: SchedulerDeps,
  project: string,
  ids: readonly string[],
  reason: string,
): Promise<(Task | undefined)[]> {
  const event = { kind: "cancel" as const, reason: reason.slice(0, maxReason) };
  const outcomes = await deps.ledger.apply(ids.map((id) => ({ key: { project, id }, event })));
  return outcomes.map((outcome) => (outcome.kind === "missing" ? undefined : outcome.task));
}

export async function cancel(
  deps: SchedulerDeps,
  request: TaskServiceCancelRequest,
  context: HandlerContext,
): Promise<TaskServiceCancelResponse> {
  const [task] = await cancelAll(deps, projectOf(context), [request.id.toLowerCase()], request.reason);
  if (task === undefined) throw notFound(request.id);
  return create(TaskServiceCancelResponseSchema, { task: await showTask(deps.payloads, task) });
}

export async function batchCancel(
  deps: SchedulerDeps,
  request: TaskServiceBatchCancelRequest,
  context: HandlerContext,
): Promise<TaskServiceBatchCancelResponse> {
  const ids = checkIds(request.ids);
  const tasks = await cancelAll(deps, projectOf(context), ids, request.reason);
  return create(TaskServiceBatchCancelResponseSchema, {
    tasks: await showTasks(
      deps.payloads,
      tasks.flatMap((task) => task ?? []),
      maxValueBytes,
    ),
    missing: ids.filter((_, i) => tasks[i] === undefined),
  });
}
