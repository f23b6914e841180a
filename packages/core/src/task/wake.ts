import { isEnded, type LiveTask, type Task } from "./task.ts";

/**
 * When the scheduler must look at a task again, or undefined when nothing is owed any more.
 * Derived from the task alone, so it can't drift from what the task says.
 */
export function wakeAt(task: Task): number | undefined {
  if (isEnded(task)) {
    if (task.owes.length === 0) return undefined;
    return Math.min(...task.owes.map((debt) => debt.dueAt));
  }
  const due = lookAt(task);
  return task.owes.length === 0 ? due : Math.min(due, ...task.owes.map((debt) => debt.dueAt));
}

function lookAt(task: LiveTask): number {
  switch (task.state) {
    case "queued":
      // A backlog task needs no look of its own: its partition's owner takes it when there is room.
      return task.queueing.kind === "backlog" ? task.deadline : Math.min(task.queueing.until, task.deadline);
    case "running":
      return Math.min(task.leaseUntil, task.deadline);
    case "waiting":
      return Math.min(task.waits[0]?.until ?? task.deadline, task.deadline);
  }
}
