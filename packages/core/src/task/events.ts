import type { Failure } from "../failure.ts";
import type { Debt, DebtKey, DeliveryStateName, Payload, Spent, Task, TaskId, WaitingFor, WebhookEvent } from "./task.ts";

/** How a task goes on after a report. */
export type ReportOutcome =
  | { readonly kind: "progress" }
  | { readonly kind: "succeeded"; readonly output: Payload }
  | { readonly kind: "failed"; readonly error: Failure }
  /** Its node's next try is far off: the executor is let go meanwhile. */
  | { readonly kind: "backoff"; readonly delayMs: number; readonly node: string }
  /** Nothing can run on before a time has come or something arrives: the executor is let go meanwhile. */
  | {
      readonly kind: "wait";
      /** In any order; the soonest `maxWaits` are kept. */
      readonly waits: readonly WaitingFor[];
      /** How many nodes wait in all. */
      readonly waitCount: number;
      /** The last arrival that the executor had looked at; a later one keeps the task from sleeping. */
      readonly seen: number;
    };

/** Everything that can happen to a task. */
export type TaskEvent =
  /** The partition's owner has room for its ticket. */
  | { readonly kind: "ticket" }
  /** It has a slot of each of its limits, taken for the hold of this number; `room` as for `wake`. */
  | { readonly kind: "grant"; readonly hold: number; readonly room: boolean }
  /** There is no slot of this limit for it. What was taken of others for the hold of this number may be given to others from now on. */
  | { readonly kind: "pass"; readonly hold: number; readonly key: string }
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
      /** Sequence numbers of arrivals whose effect is in the node runs that came with it; absent for none. */
      readonly consumed?: readonly number[];
      /** What was spent since the report before; absent for nothing. */
      readonly spent?: Spent;
    }
  /** Something came from outside for one of its nodes, which may wait for it already or not yet. */
  | {
      readonly kind: "arrive";
      readonly node: string;
      readonly by: string;
      /** Exactly one of the two. */
      readonly payload?: Payload;
      readonly error?: Failure;
      /** Refuse it while another one for the same node is not consumed. */
      readonly once: boolean;
    }
  /** The holder is about to start a task from one of its nodes. */
  | { readonly kind: "child"; readonly executor: string; readonly attempt: number }
  | { readonly kind: "heartbeat"; readonly executor: string; readonly attempt: number }
  | { readonly kind: "release"; readonly executor: string; readonly attempt: number }
  | { readonly kind: "cancel"; readonly reason: string }
  /** The sweeper looks at what is due; `room` as for `ticket`. */
  | { readonly kind: "wake"; readonly room: boolean }
  /** Its holder is known to be dead, although the lease still runs: the process was the only one and has begun anew. */
  | { readonly kind: "orphan"; readonly room: boolean }
  /** A debt is confirmed as taken over. */
  | { readonly kind: "settle"; readonly key: DebtKey }
  /** A debt could not be handed over; it is tried again later. */
  | { readonly kind: "defer"; readonly key: DebtKey }
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
  /** It waits for a slot of this limit: there may be one. */
  | { readonly kind: "look"; readonly project: string; readonly key: string }
  /** Tell the holder to stop. */
  | { readonly kind: "revoke"; readonly executor: string; readonly taskId: TaskId; readonly attempt: number }
  /** Tell the holder that something arrived; its heartbeat answers what. */
  | { readonly kind: "arrival"; readonly executor: string; readonly taskId: TaskId; readonly attempt: number }
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
  /** This very report is applied already, or the task says so already. */
  | "applied"
  /** The ticket belongs to an earlier attempt, or the task can't be claimed. */
  | "stale-ticket"
  /** Nothing is due, or nothing would change. */
  | "nothing-due"
  /** Something for this node arrived before and is not consumed yet. */
  | "arrived"
  /** Too much arrived that no result holds yet. */
  | "inbox-full";

/** A refusal is a value, because it is ordinary. */
export type Decision =
  | { readonly ok: true; readonly next: Task; readonly effects: readonly Effect[] }
  | { readonly ok: false; readonly why: Refusal };
