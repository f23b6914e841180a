import type { Failure } from "../failure.ts";

/** UUIDv7, or UUIDv8 when made from an idempotency key. */
export type TaskId = string;

/** What finds a task: stores that are sharded are sharded by project first. */
export interface TaskKey {
  readonly project: string;
  readonly id: TaskId;
}

/** JSON text, by content (up to 8 KiB of UTF-8) or by the key of a stored payload. */
export type Payload =
  | { readonly kind: "inline"; readonly json: string }
  | { readonly kind: "stored"; readonly key: string; readonly bytes: number };

/** How much of an input is searched: its first units of UTF-16. */
const searchedUnits = 1_024;

/** What a search looks at: the beginning of the input's JSON text. Stores that hold the input itself need not keep it twice. */
export function searchedText(inputJson: string): string {
  return inputJson.slice(0, searchedUnits);
}

/** Terminal states; a task never leaves them. */
export const terminalStates = ["succeeded", "failed", "cancelled", "timed_out"] as const;
export type TerminalState = (typeof terminalStates)[number];
export const taskStates = ["queued", "running", "waiting", ...terminalStates] as const;
export type TaskStateName = (typeof taskStates)[number];

/** `task.` + terminal state. */
export type WebhookEvent = `task.${TerminalState}`;

/** Whom to tell; secret and header values are sealed before they come here. */
export interface WebhookTarget {
  readonly url: string;
  readonly sealedSecrets: readonly string[];
  readonly sealedHeaders: Readonly<Record<string, string>>;
  readonly events: readonly WebhookEvent[];
}

export type DeliveryStateName = "pending" | "paused" | "delivered" | "exhausted";

/** What a task still owes to others although it has ended. Settled by a confirmation, never by hope. */
export interface Debt {
  readonly kind: "webhook";
  readonly event: WebhookEvent;
  /** When to try (again) to hand it over; milliseconds since the epoch. */
  readonly dueAt: number;
  /** Looks that found it unpaid and hand-overs that failed; the pauses grow with it. */
  readonly failures: number;
}

/** What is true of a task in every state. Times are milliseconds since the epoch. */
export interface TaskCommon {
  readonly id: TaskId;
  readonly project: string;
  /** `partitionOf(project)`, stored because indexes need it. */
  readonly partition: number;
  readonly workflow: string;
  readonly revision: number;
  readonly input: Payload;
  /** Words of the first KiB of the input, for search. */
  readonly text: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly createTime: number;
  readonly notBefore?: number;
  readonly deadline: number;
  readonly webhook?: WebhookTarget;
  /** Hash of the body as sent, for tasks made with an idempotency key. */
  readonly bodyHash?: string;
  readonly retryOf?: TaskId;

  /** Counts visible changes; the ETag. */
  readonly version: number;
  /** Counts holds; the fence of every write that an executor asks for. */
  readonly attempt: number;
  /** Number of the last report applied in this attempt. */
  readonly report: number;
  /** Claims since the last progress; the bound against poison. */
  readonly tries: number;
  /** True after a lost lease: the next attempt runs alone in its process. */
  readonly alone: boolean;
  readonly startTime?: number;
  readonly delivery?: { readonly state: DeliveryStateName; readonly sequence: number };
  readonly owes: readonly Debt[];
}

/** Why a queued task is not running yet. */
export type Queueing =
  /** Not before `until`: its start time, or the pause before the next attempt (of `node`). */
  | { readonly kind: "delayed"; readonly why: "start_time" | "retry"; readonly until: number; readonly node?: string }
  /** Waits in the store for room among the tickets. */
  | { readonly kind: "backlog" }
  /** A ticket is out; look again at `until` in case it was lost. `looks` counts how often that happened. */
  | { readonly kind: "ticketed"; readonly until: number; readonly looks: number };

/** What a waiting task waits for. */
export interface WaitingFor {
  readonly kind: "timer" | "signal" | "approval";
  readonly node: string;
  readonly since: number;
  readonly until?: number;
}

export interface QueuedTask extends TaskCommon {
  readonly state: "queued";
  readonly queueing: Queueing;
  /** Since when it has been queued. */
  readonly since: number;
}
export interface RunningTask extends TaskCommon {
  readonly state: "running";
  readonly executor: string;
  readonly leaseUntil: number;
}
export interface WaitingTask extends TaskCommon {
  readonly state: "waiting";
  readonly waitingFor: WaitingFor;
}
export interface SucceededTask extends TaskCommon {
  readonly state: "succeeded";
  readonly endTime: number;
  readonly output: Payload;
}
export interface UnsuccessfulTask extends TaskCommon {
  readonly state: "failed" | "cancelled" | "timed_out";
  readonly endTime: number;
  readonly error: Failure;
}
export type LiveTask = QueuedTask | RunningTask | WaitingTask;
export type EndedTask = SucceededTask | UnsuccessfulTask;
export type Task = LiveTask | EndedTask;

export function isEnded(task: Task): task is EndedTask {
  return task.state !== "queued" && task.state !== "running" && task.state !== "waiting";
}

/** What `TaskCommon` holds, without what belongs to one state only. */
export function commonOf(task: Task): TaskCommon {
  const common: { -readonly [K in keyof TaskCommon]: TaskCommon[K] } = {
    id: task.id,
    project: task.project,
    partition: task.partition,
    workflow: task.workflow,
    revision: task.revision,
    input: task.input,
    text: task.text,
    labels: task.labels,
    priority: task.priority,
    createTime: task.createTime,
    deadline: task.deadline,
    version: task.version,
    attempt: task.attempt,
    report: task.report,
    tries: task.tries,
    alone: task.alone,
    owes: task.owes,
  };
  if (task.notBefore !== undefined) common.notBefore = task.notBefore;
  if (task.webhook !== undefined) common.webhook = task.webhook;
  if (task.bodyHash !== undefined) common.bodyHash = task.bodyHash;
  if (task.retryOf !== undefined) common.retryOf = task.retryOf;
  if (task.startTime !== undefined) common.startTime = task.startTime;
  if (task.delivery !== undefined) common.delivery = task.delivery;
  return common;
}
