import type { Job, JobKey } from "../job/job.ts";

/** A job as stored, with the revision that compare-and-set goes by: it counts writes, from 0. */
export interface StoredJob {
  readonly job: Job;
  readonly rev: number;
}

/**
 * Keeps jobs of remote workers. It compares and sets, and knows nothing of leases. Durable when a promise resolves; rejects with LonghaulError
 * `unavailable` as TaskStore does. An array comes back in the order of the array that went in.
 */
export interface JobStore {
  get(keys: readonly JobKey[]): Promise<readonly (StoredJob | undefined)[]>;
  insert(job: Job): Promise<"inserted" | "exists">;
  /** Writes `next` only while the stored revision is still `rev`. Its task, function, priority and create time stay as they were inserted. */
  replace(next: Job, rev: number): Promise<"replaced" | "stale">;
  /** Removes it only while the stored revision is still `rev`; "removed" also when it is gone already. */
  remove(key: JobKey, rev: number): Promise<"removed" | "stale">;
  /** Queued ones of a function, in the order in which workers take them: priority descending, then create time, then id. */
  listQueued(project: string, name: string, limit: number): Promise<readonly StoredJob[]>;
  /** Those of a task in any state, by id ascending, behind `after` where given. */
  listOfTask(project: string, taskId: string, limit: number, after?: string): Promise<readonly StoredJob[]>;
  /** Those in these partitions whose `jobWakeAt` is at or before `until`, the earliest first. */
  listDue(partitions: readonly number[], until: number, limit: number): Promise<readonly StoredJob[]>;
  /** The earliest `jobWakeAt` in these partitions, whether past or to come. */
  nextDue(partitions: readonly number[]): Promise<number | undefined>;
}
