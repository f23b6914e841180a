import type { Json } from "../failure.ts";
import type { Payload } from "../task/task.ts";

/** One line that a worker wrote while it had the job. */
export interface JobLine {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly line: string;
}

/** What finds a job. */
export interface JobKey {
  readonly project: string;
  /** UUID, made from the task, the node's path and its try: the same try asked for twice is one job. */
  readonly id: string;
}

/** What is true of a job in every state. */
export interface JobCommon extends JobKey {
  /** `partitionOf(project)`, stored because indexes need it. */
  readonly partition: number;
  readonly taskId: string;
  /** Path of the node that waits for it. */
  readonly node: string;
  /** Name of the function that a worker serves. */
  readonly function: string;
  /** The function's input as JSON text that is sealed, again as JSON text. */
  readonly input: Payload;
  /** That of the task: higher first. */
  readonly priority: number;
  /** Milliseconds since the epoch, as `deadline`. */
  readonly createTime: number;
  /** When nobody waits for it any more. */
  readonly deadline: number;
  /** Leases begun that did not end in a release: the bound against a job that kills its workers. */
  readonly tries: number;
  /** Counts leases and only rises; who has an earlier number has lost the job. */
  readonly fence: number;
  /** Set where the node works with secrets: what the worker says meanwhile is neither shown nor kept. */
  readonly withheld?: true;
  /** The last lines of its log, at most 16 KiB as JSON; absent while there are none. */
  readonly log?: readonly JobLine[];
}

/** It waits for a worker. */
export type QueuedJob = JobCommon & { readonly state: "queued" };
/** A worker has it until `leaseUntil`. */
export type LeasedJob = JobCommon & {
  readonly state: "leased";
  /** What the worker calls itself; empty while its node is told that its workers were lost. */
  readonly worker: string;
  /** Milliseconds since the epoch. */
  readonly leaseUntil: number;
};
/** Its outcome has been handed over; it is kept for a while, so that the same answer again is recognised. */
export type DoneJob = JobCommon & {
  readonly state: "done";
  /** Milliseconds since the epoch. */
  readonly keptUntil: number;
};

/** One call of a function that a remote worker serves, for a node of a task. */
export type Job = QueuedJob | LeasedJob | DoneJob;

export interface JobRules {
  readonly leaseMs: number;
  /** Leases that may be lost before the job fails as `worker_lost`. */
  readonly maxTries: number;
  /** How long a job that is done is remembered. */
  readonly keepMs: number;
}

export const defaultJobRules: JobRules = { leaseMs: 30_000, maxTries: 5, keepMs: 600_000 };

/** When somebody must look at a job again, in milliseconds since the epoch. */
export function jobWakeAt(job: Job): number {
  switch (job.state) {
    case "queued":
      return job.deadline;
    case "leased":
      return Math.min(job.leaseUntil, job.deadline);
    case "done":
      return job.keptUntil;
  }
}

/** What a worker's answer is to the node: what arrives for it. */
export function jobOutcome(
  job: Pick<JobCommon, "id" | "log">,
  outcome: { readonly output: Json } | { readonly error: Json },
): { readonly [key: string]: Json } {
  const log = job.log?.map(({ at, line }) => ({ at, line }));
  return { job: job.id, ...outcome, ...(log === undefined ? {} : { log }) };
}
