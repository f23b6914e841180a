import type { TaskId } from "../task/task.ts";

/** Says that a task may be claimed. A doorbell: losing one costs time only. */
export interface Ticket {
  readonly project: string;
  readonly taskId: TaskId;
  /** The attempt the task had when the ticket was made; a claim for another one is refused. */
  readonly attempt: number;
  /** The task goes alone in its process. */
  readonly alone: boolean;
}

/** `pending`: a ticket of this task is out already. `full`: the broker's window has no room. */
export type PublishResult = "published" | "pending" | "full";

/** The scheduler's side: tickets out. */
export interface TicketOutlet {
  /** Publishes in order; resolves when the broker has taken or refused each. Rejects with `unavailable` when it can't be reached. */
  publish(partition: number, tickets: readonly Ticket[]): Promise<readonly PublishResult[]>;
  /** How many tickets of each partition are out and unclaimed. */
  unclaimed(partitions: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /** Calls back after tickets may have been lost (stream or consumer gone and made anew, broker back). Returns how to stop that. */
  onLoss(notify: () => void): () => void;
}

/** What became of a ticket: `done` removes it, `retry` brings it back after a while. */
export type TicketVerdict = { readonly kind: "done" } | { readonly kind: "retry"; readonly delayMs: number };

/** The executor's side: tickets in. */
export interface TicketInlet {
  /**
   * Delivers tickets in groups, never more than granted. A ticket is removed only after `take` has answered for it;
   * when `take` rejects or the process dies the broker brings it back.
   */
  consume(take: (tickets: readonly Ticket[]) => Promise<readonly TicketVerdict[]>): TicketFlow;
}

export interface TicketFlow {
  /** Allows `count` more tickets. */
  grant(count: number): void;
  /** Takes back what was granted and not used; tickets under way are still answered. */
  stop(): Promise<void>;
}
