import type { Failure } from "../failure.ts";
import type { Payload, TaskId } from "./task.ts";

export const nodeStates = ["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled"] as const;
export type NodeStateName = (typeof nodeStates)[number];

/** One node's execution in a task, keyed by task and path. Written only over an equal or lower attempt. */
export interface NodeRun {
  readonly taskId: TaskId;
  readonly project: string;
  /** Address inside the task: `fetch`, `each[3].summary`. */
  readonly path: string;
  readonly kind: string;
  readonly state: NodeStateName;
  /** Attempt and report in which it was recorded; they order the runs of a task. 0.0 when copied from a retried task. */
  readonly attempt: number;
  readonly report: number;
  readonly input?: Payload;
  readonly output?: Payload;
  readonly error?: Failure;
  readonly startTime: number;
  readonly endTime?: number;
  /** Tries within the node's own retry rule. */
  readonly tries: number;
}

/** A result: nothing more will come from this node in its attempt. */
export function isResult(state: NodeStateName): boolean {
  return state === "succeeded" || state === "failed" || state === "skipped";
}
