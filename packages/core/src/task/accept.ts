import { partitionOf } from "./partition.ts";
import type { Rules } from "./rules.ts";
import { limited } from "./slots.ts";
import type { ParentLink, Payload, QueuedTask, TaskId, WebhookTarget } from "./task.ts";

/** A submit whose every check has passed. Times are milliseconds since the epoch. */
export interface Submission {
  readonly id: TaskId;
  readonly project: string;
  readonly workflow: string;
  readonly revision: number;
  readonly input: Payload;
  readonly text: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly notBefore?: number;
  readonly deadline: number;
  readonly webhook?: WebhookTarget;
  readonly bodyHash?: string;
  readonly retryOf?: TaskId;
  /** For a task that a node of another one starts; with it its depth. */
  readonly parent?: ParentLink;
  /** Tasks above it, at most `maxDepth`; absent for 0. */
  readonly depth?: number;
  /** The limits that it is subject to; absent for none. */
  readonly limitKeys?: readonly string[];
}

/**
 * The first form of a task. `room` says that its ticket may go out right after the commit; the ticket's
 * second look is stored with it, so a crash between commit and ticket costs time and not the task. A task with limits has no ticket before its slots.
 */
export function acceptTask(submission: Submission, now: number, room: boolean, rules: Rules): QueuedTask {
  const { notBefore = now, limitKeys } = submission;
  // What is new comes first and the spread last: the other way round V8 takes a microsecond for each property it adds.
  return {
    partition: partitionOf(submission.project),
    createTime: now,
    version: 1,
    attempt: 0,
    report: 0,
    tries: 0,
    alone: false,
    owes: [],
    state: "queued",
    since: now,
    queueing:
      notBefore > now
        ? { kind: "delayed", why: "start_time", until: notBefore }
        : limitKeys !== undefined
          ? limited(limitKeys, now, 0, rules)
          : room
            ? { kind: "ticketed", until: now + rules.ticketMs, looks: 0 }
            : { kind: "backlog" },
    ...(limitKeys === undefined || notBefore > now ? {} : { hold: 1 }),
    ...submission,
  };
}
