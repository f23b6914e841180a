import type { Json } from "../failure.ts";

/**
 * Fleeting messages between processes: change bells, progress, revocations. At most once, never stored.
 * Subjects are dot-separated tokens of `[A-Za-z0-9_-]`.
 */
export interface Live {
  publish(subject: string, message: Json): void;
  subscribe(subject: string, onMessage: (message: Json) => void): LiveSubscription;
  /** Calls back after messages may have been missed (the connection was lost and is back). Returns how to stop that. */
  onGap(notify: () => void): () => void;
}

export interface LiveSubscription {
  /** Resolves once every later message is certain to arrive (as far as anything is). */
  readonly ready: Promise<void>;
  close(): void;
}

/** Subject on which the tasks of a partition that changed are named, many at a time. */
export function bellSubject(partition: number): string {
  return `bell.${partition}`;
}
/** Subject of what one task's nodes say while they run. */
export function taskSubject(partition: number, taskId: string): string {
  return `task.${partition}.${taskId}`;
}
/** Subject on which an executor is told to stop a task. */
export function executorSubject(executor: string): string {
  return `executor.${executor}`;
}
/** Subject on which a partition's owner is told that there is something in the backlog. */
export function partitionSubject(partition: number): string {
  return `partition.${partition}`;
}
/** Subject on which jobs of a partition are named: functions that have a new one, and jobs that nobody waits for any more. */
export function jobsSubject(partition: number): string {
  return `jobs.${partition}`;
}
/** Subject on which schedulers tell each other which functions a worker has asked for. */
export const workersSubject = "workers";
