import type { Delivery } from "../ports/delivery-store.ts";
import { isEnded, type Task } from "../task/task.ts";

/**
 * When a task ended, once nothing is owed for it any more; undefined before. What retention counts from, in milliseconds since the epoch.
 * Derived from the task alone, as `wakeAt` is, and never set together with it. How long a task is kept is no part of it, so that another
 * setting holds for what is stored already.
 */
export function taskSettledAt(task: Task): number | undefined {
  return isEnded(task) && task.owes.length === 0 ? task.endTime : undefined;
}

/**
 * When a delivery was last tried, or made where it never was, once no attempt is to come and the scheduler knows how it ended; undefined
 * before. What retention counts from, in milliseconds since the epoch; never before its task's.
 */
export function deliverySettledAt({ nextAttemptTime, unreported, createTime, attempts }: Delivery): number | undefined {
  if (nextAttemptTime !== undefined || unreported) return undefined;
  return Math.max(createTime, attempts.at(-1)?.time ?? createTime);
}
