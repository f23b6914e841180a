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

/**
 * Whom a task owes what: a webhook message, its outcome to the task that waits for it, the end of the tasks that it started, its slots. Slots may be
 * owed by a live task too, the others only by one that has ended.
 */
export type Owed =
  | { readonly kind: "webhook"; readonly key: WebhookEvent; readonly event: WebhookEvent }
  | { readonly kind: "parent"; readonly key: "parent" }
  | { readonly kind: "children"; readonly key: "children" }
  /** The slots that it took for its hold of this number, and may have taken for earlier ones. */
  | { readonly kind: "slots"; readonly key: `slots.${number}`; readonly hold: number };
/** What tells the debts of one task apart. */
export type DebtKey = Owed["key"];

/** What a task still owes to others although it has ended, or waits. Settled by a confirmation, never by hope. */
export type Debt = Owed & {
  /** When to try (again) to hand it over; milliseconds since the epoch. */
  readonly dueAt: number;
  /** Looks that found it unpaid and hand-overs that failed; the pauses grow with it. */
  readonly failures: number;
};

/** The task that started this one, in the same project. */
export interface ParentLink {
  readonly id: TaskId;
  /** Path of the node there that started it. */
  readonly node: string;
  /** True when that node waits for how this task ends. */
  readonly awaited: boolean;
}

/** How many tasks may stand above a task. */
export const maxDepth = 8;

/** What came from outside for one of a task's nodes: a signal, an approval, the end of a child. Exactly one of payload and error is set. */
export interface Arrival {
  /** Counts the arrivals of a task, from 1. */
  readonly seq: number;
  /** Path of the node that it is for. */
  readonly node: string;
  readonly at: number;
  /** Who sent it, for people; empty where nobody said. */
  readonly by: string;
  readonly payload?: Payload;
  readonly error?: Failure;
}

/** How many arrivals a task keeps that are not part of a stored result yet. */
export const maxInbox = 100;

/** What a task has used up so far, as its reports added up. */
export interface Spent {
  /** Tokens of models, in and out. */
  readonly tokens: number;
  /** Calls to the outside. */
  readonly calls: number;
  /** Node runs that ended. */
  readonly nodeRuns: number;
  /** Time that executors spent on it, in milliseconds. */
  readonly runMs: number;
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
  /** Absent for a task that was submitted. */
  readonly parent?: ParentLink;
  /** Tasks above it; absent for 0. */
  readonly depth?: number;
  /** The limits that it is subject to, in the order in which it takes their slots; absent for none, and then never empty. */
  readonly limitKeys?: readonly string[];

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
  /** Set before one of its nodes starts a task or gives a worker a job, so that none is forgotten when this one ends. */
  readonly children?: true;
  /** What arrived and is not part of a stored result yet, the oldest first; absent when empty, at most `maxInbox`. */
  readonly inbox?: readonly Arrival[];
  /** Sequence number of the last arrival; absent before the first. */
  readonly arrivals?: number;
  /** Absent until a report says that something was spent. */
  readonly spent?: Spent;
  /**
   * Number of its last wait for slots and of the hold that follows from it; the fence of the slots. Set exactly when it has `limitKeys` and has
   * waited for them.
   */
  readonly hold?: number;
}

/** Why a queued task is not running yet. */
export type Queueing =
  /** Not before `until`: its start time, or the pause before the next attempt (of `node`). */
  | { readonly kind: "delayed"; readonly why: "start_time" | "retry"; readonly until: number; readonly node?: string }
  /** Waits in the store for room among the tickets. */
  | { readonly kind: "backlog" }
  /** Waits for a slot of each of its limits, as far as known for one of `key`. Looked at again at `until` in case its turn went unnoticed. */
  | { readonly kind: "limited"; readonly key: string; readonly until: number; readonly looks: number }
  /** A ticket is out; look again at `until` in case it was lost. `looks` counts how often that happened. */
  | { readonly kind: "ticketed"; readonly until: number; readonly looks: number };

export const waitKinds = ["timer", "signal", "approval", "child", "callback", "worker", "retry", "budget"] as const;
export type WaitKind = (typeof waitKinds)[number];

/** What a node of a waiting task waits for. Times are milliseconds since the epoch. */
export interface WaitingFor {
  readonly kind: WaitKind;
  /** Path of the node. */
  readonly node: string;
  readonly since: number;
  /** When it goes on at the latest; absent when only an arrival lets it. */
  readonly until?: number;
  /** Name of the signal. */
  readonly name?: string;
  /** One sentence for people. */
  readonly reason: string;
}

/** How many of its waiting nodes a task lists. */
export const maxWaits = 100;

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
  /** The nodes that wait: the one that goes on soonest first, those without a time last; 1 to `maxWaits`. */
  readonly waits: readonly WaitingFor[];
  /** How many nodes wait in all. */
  readonly waitCount: number;
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
  if (task.parent !== undefined) common.parent = task.parent;
  if (task.depth !== undefined) common.depth = task.depth;
  if (task.children !== undefined) common.children = task.children;
  if (task.inbox !== undefined) common.inbox = task.inbox;
  if (task.arrivals !== undefined) common.arrivals = task.arrivals;
  if (task.spent !== undefined) common.spent = task.spent;
  if (task.limitKeys !== undefined) common.limitKeys = task.limitKeys;
  if (task.hold !== undefined) common.hold = task.hold;
  return common;
}
