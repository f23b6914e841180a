import type { Failure } from "../failure.ts";
import type { Debt, DeliveryStateName, Payload, Task, TaskId, WaitingFor, WebhookEvent } from "./task.ts";

/** How a task goes on after a report. */
export type ReportOutcome =
  | { readonly kind: "progress" }
  | { readonly kind: "succeeded"; readonly output: Payload }
  | { readonly kind: "failed"; readonly error: Failure }
  /** Its node's next try is far off: the executor is let go meanwhile. */
  | { readonly kind: "backoff"; readonly delayMs: number; readonly node: string }
  | { readonly kind: "wait"; readonly waitingFor: WaitingFor };

/** Everything that can happen to a task. */
export type TaskEvent =
  /** The partition's owner has room for its ticket. */
  | { readonly kind: "ticket" }
  /** An executor wants it; `attempt` is the one its ticket was made for. */
  | { readonly kind: "claim"; readonly executor: string; readonly attempt: number }
  | {
      readonly kind: "report";
      readonly executor: string;
      readonly attempt: number;
      readonly number: number;
      /** How many node results came with it. */
      readonly results: number;
      readonly outcome: ReportOutcome;
    }
  | { readonly kind: "heartbeat"; readonly executor: string; readonly attempt: number }
  | { readonly kind: "release"; readonly executor: string; readonly attempt: number }
  | { readonly kind: "cancel"; readonly reason: string }
  /** The sweeper looks at what is due; `room` as for `ticket`. */
  | { readonly kind: "wake"; readonly room: boolean }
  /** Its holder is known to be dead, although the lease still runs: the process was the only one and has begun anew. */
  | { readonly kind: "orphan"; readonly room: boolean }
  /** A debt is confirmed as taken over. */
  | { readonly kind: "settle"; readonly event: WebhookEvent }
  /** A debt could not be handed over; it is tried again later. */
  | { readonly kind: "defer"; readonly event: WebhookEvent }
  /** The notifier says how a delivery stands. */
  | { readonly kind: "delivery"; readonly event: WebhookEvent; readonly state: DeliveryStateName; readonly sequence: number };

/** What must happen after the decision is stored. Losing an effect costs time, never a promise: `wakeAt` brings it back. */
export type Effect =
  /** Publish its ticket. */
  | {
      readonly kind: "ticket";
      readonly project: string;
      readonly taskId: TaskId;
      readonly attempt: number;
      readonly alone: boolean;
    }
  /** It joined the backlog: its partition may have room. */
  | { readonly kind: "refill"; readonly partition: number }
  /** Tell the holder to stop. */
  | { readonly kind: "revoke"; readonly executor: string; readonly taskId: TaskId; readonly attempt: number }
  /** Hand the debt over now. */
  | { readonly kind: "hand-over"; readonly debt: Debt };

/** Why an event changes nothing. */
export type Refusal =
  /** The task has ended, and not in a way that stops a holder early. */
  | "ended"
  /** The task was cancelled or timed out: its holder stops. */
  | "stopped"
  /** Somebody else holds it, or nobody does. */
  | "not-holder"
  /** This very report is applied already. */
  | "applied"
  /** The ticket belongs to an earlier attempt, or the task can't be claimed. */
  | "stale-ticket"
  /** Nothing is due, or nothing would change. */
  | "nothing-due";

/** A refusal is a value, because it is ordinary. */
export type Decision =
  | { readonly ok: true; readonly next: Task; readonly effects: readonly Effect[] }
  | { readonly ok: false; readonly why: Refusal };
