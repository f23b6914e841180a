import type { Failure, Json } from "../failure.ts";
import type { Payload, TaskId, WaitKind } from "./task.ts";

export const nodeStates = ["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled"] as const;
export type NodeStateName = (typeof nodeStates)[number];

/** What a node waits for. Times are milliseconds since the epoch. */
export interface NodeWait {
  readonly kind: WaitKind;
  readonly since: number;
  readonly until?: number;
  /** Name of the signal. */
  readonly name?: string;
  /** One sentence for people. */
  readonly reason: string;
  /** More facts to show: what is asked, the choices, the schema. */
  readonly details?: Json;
  /** What its kind needs to go on; shown to nobody. */
  readonly memory?: Json;
}

/** What calls to models took. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  /** From the call to the first piece of its answer; absent where the answer came in one. */
  readonly firstTokenMs?: number;
}

/** How many bytes of JSON the log of a node run may have. */
export const maxLogBytes = 65_536;

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
  /** Set exactly while it is `waiting`. */
  readonly wait?: NodeWait;
  readonly usage?: Usage;
  /** JSON list of `{ at, line }`, `at` in milliseconds since the epoch; at most `maxLogBytes`. */
  readonly log?: Payload;
  /** The task that it started. */
  readonly childId?: TaskId;
  /** Input and output are sealed: nobody but an executor reads them. */
  readonly secret?: true;
}

/** A result: nothing more will come from this node in its attempt. */
export function isResult(state: NodeStateName): boolean {
  return state === "succeeded" || state === "failed" || state === "skipped";
}
