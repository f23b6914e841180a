import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  isResult,
  LonghaulError,
  type NodeRun,
  type PayloadStore,
  partitionOf,
  type Rules,
  type Task,
  type TaskStore,
} from "@longhaul/core";
import {
  type ClaimedTask,
  ClaimedTaskSchema,
  type ClaimResult,
  ClaimResultSchema,
  type Hold,
} from "@longhaul/proto/execution_service";
import { type Logger, newMessage, newTimestamp, type ResumeKeys, type SecretBox, spendMessage } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";
import { type ByteBudget, inboxMessages, inlineValues, payloadMessage, storedNodeMessage } from "./stored-messages.ts";

export interface ClaimDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly rules: Rules;
  readonly box: SecretBox;
  readonly resume: ResumeKeys;
  /** Where the outside reaches the gateway; empty where nobody said. */
  readonly publicUrl: () => string;
  readonly now: () => number;
  readonly log: Logger;
}

/** Values of one answer travel in it up to this size together; the others by key. */
const inlineBytes = 1_048_576;
/** What arrived for the tasks of one answer, together; one task's inbox has at most a quarter of it. */
const inboxBytes = 4_194_304;
/** Node runs that travel with a claim; of a task with more only those of the workflow's own nodes do. */
const nodePage = 500;

/** Turns tickets into holds. The claim is durable before it is answered; a stale ticket is answered without a hold. */
export async function claimTasks(deps: ClaimDeps, executor: string, tickets: readonly Hold[]): Promise<ClaimResult[]> {
  const outcomes = await deps.ledger.apply(
    tickets.map(({ project, taskId, attempt }) => ({
      key: { project, id: taskId },
      event: { kind: "claim" as const, executor, attempt },
    })),
  );
  // Claimed or refused, the ticket is done with: its place in the window is free.
  const done = new Map<number, number>();
  for (const { project } of tickets) {
    const partition = partitionOf(project);
    done.set(partition, (done.get(partition) ?? 0) + 1);
  }
  for (const [partition, count] of done) deps.dispatcher.claimed(partition, count);

  const budget = { left: inlineBytes };
  const inbox = { left: inboxBytes };
  return Promise.all(
    outcomes.map(async (outcome, i) => {
      const result = newMessage(ClaimResultSchema, { taskId: tickets[i]?.taskId ?? "" });
      if (outcome.kind !== "changed") return result;
      try {
        result.claimed = await claimedTask(deps, outcome.task, budget, inbox);
      } catch (why) {
        if (why instanceof LonghaulError && why.code === "unavailable") throw why;
        // What can't be read costs this task a try, and its neighbours in the group nothing.
        deps.log.error({ taskId: outcome.task.id, err: why }, "a claimed task could not be read; its lease will end");
      }
      return result;
    }),
  );
}

async function claimedTask(deps: ClaimDeps, task: Task, budget: ByteBudget, inbox: ByteBudget): Promise<ClaimedTask> {
  const message = newMessage(ClaimedTaskSchema, {
    taskId: task.id,
    attempt: task.attempt,
    project: task.project,
    workflow: task.workflow,
    revision: task.revision,
    input: payloadMessage(task.input),
    lease: durationFromMs(deps.rules.leaseMs),
    deadline: newTimestamp(task.deadline),
    createTime: newTimestamp(task.createTime),
    time: newTimestamp(deps.now()),
    labels: { ...task.labels },
    priority: task.priority,
    retryOf: task.retryOf ?? "",
    depth: task.depth ?? 0,
    resumeKey: deps.resume.keyOf(task.project, task.id),
    publicUrl: deps.publicUrl(),
  });
  if (task.spent !== undefined) message.spent = spendMessage(task.spent);
  if (task.inbox !== undefined) message.arrivals = inboxMessages(task.inbox, inbox);
  // The first attempt of a task that retries no other has nothing stored: most tasks need no read here.
  if (task.attempt > 1 || task.retryOf !== undefined) {
    const { runs, isAll } = await storedRuns(deps.store, task);
    message.nodes = runs.map((run) => storedNodeMessage(run, deps.box));
    message.moreNodes = !isAll;
  }
  await inlineValues(deps, [message.input, ...message.nodes.map((node) => node.output)], budget);
  return message;
}

/** All node runs where they are few, else those of the workflow's own nodes. */
async function storedRuns(store: TaskStore, task: Task): Promise<{ readonly runs: readonly NodeRun[]; readonly isAll: boolean }> {
  const key = { project: task.project, id: task.id };
  const first = await store.listNodeRuns(key, nodePage);
  if (first.length < nodePage) return { runs: first.filter(isOfUse), isAll: true };
  const runs: NodeRun[] = [];
  let after: { attempt: number; report: number; path: string } | undefined;
  for (;;) {
    const page: readonly NodeRun[] = await store.listNodeRuns(key, nodePage, after, { top: true });
    runs.push(...page.filter(isOfUse));
    const last = page.at(-1);
    if (last === undefined || page.length < nodePage) return { runs, isAll: false };
    after = { attempt: last.attempt, report: last.report, path: last.path };
  }
}

/** What the next attempt goes on behind. */
export function isOfUse({ state }: NodeRun): boolean {
  return isResult(state) || state === "running" || state === "waiting";
}
