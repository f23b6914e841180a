import { isEnded, LonghaulError, type RunningTask, type Task, type TaskStore } from "@longhaul/core";
import type { Hold } from "@longhaul/proto/execution_service";

/** The task that an executor holds now. Rejects with `precondition_failed` for every other caller: another attempt, another process, an ended task. */
export async function heldTask(
  deps: { readonly store: Pick<TaskStore, "get"> },
  hold: Hold | undefined,
  executor: string,
): Promise<RunningTask> {
  const task = await taskOf(deps, hold);
  if (task?.state === "running" && task.executor === executor) return task;
  throw notHeld();
}

/** The task that an executor holds now, or has just ended: for what it sends beside its last report, which may come first. */
export async function lastHeldTask(
  deps: { readonly store: Pick<TaskStore, "get"> },
  hold: Hold | undefined,
  executor: string,
): Promise<Task> {
  const task = await taskOf(deps, hold);
  if (task !== undefined && (isEnded(task) || (task.state === "running" && task.executor === executor))) return task;
  throw notHeld();
}

/** The task, while its last attempt is that of the hold. */
async function taskOf(deps: { readonly store: Pick<TaskStore, "get"> }, hold: Hold | undefined): Promise<Task | undefined> {
  if (hold === undefined) throw new LonghaulError("invalid_argument", "The request names no hold.");
  const [stored] = await deps.store.get([{ project: hold.project, id: hold.taskId }]);
  return stored?.task.attempt === hold.attempt ? stored.task : undefined;
}

function notHeld(): LonghaulError {
  return new LonghaulError("precondition_failed", "The task is not held by this attempt any more.");
}
