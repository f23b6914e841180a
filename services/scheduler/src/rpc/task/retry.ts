import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { isEnded, LonghaulError } from "@longhaul/core";
import {
  RetryRevision,
  type TaskServiceRetryRequest,
  type TaskServiceRetryResponse,
  TaskServiceRetryResponseSchema,
} from "@longhaul/proto/task_service";
import { oneIdempotencyKey, projectOf, taskIds } from "@longhaul/shared";
import { planRetry } from "../../tasks/plan-retry.ts";
import { showTask } from "../../tasks/read-tasks.ts";
import { retryTask } from "../../tasks/retry-task.ts";
import { notFound } from "../../tasks/watch-task.ts";
import type { SchedulerDeps } from "../deps.ts";

const newId = taskIds();

export async function retry(
  deps: SchedulerDeps,
  request: TaskServiceRetryRequest,
  context: HandlerContext,
): Promise<TaskServiceRetryResponse> {
  const project = projectOf(context);
  const idempotencyKey = oneIdempotencyKey(context.requestHeader.get("idempotency-key") ?? undefined, request.requestId);
  const [stored] = await deps.store.get([{ project, id: request.id.toLowerCase() }]);
  if (stored === undefined) throw notFound(request.id);
  const { task } = stored;
  if (!isEnded(task))
    throw new LonghaulError("conflict", `The task is ${task.state}; only an ended task can be retried. Cancel it first.`);
  if (task.state === "succeeded")
    throw new LonghaulError("conflict", "The task succeeded; submit a new one to run the workflow again.");
  const isLatest = request.revision === RetryRevision.LATEST;
  const plan = await planRetry(deps, task, { from: request.from, isLatest });
  const made = await retryTask(deps, task, { id: newId(), idempotencyKey }, plan);
  return create(TaskServiceRetryResponseSchema, { task: await showTask(deps.payloads, made.task), replayed: made.replayed });
}
