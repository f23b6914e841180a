import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  isResult,
  LonghaulError,
  type NodeRun,
  type PayloadStore,
  partitionOf,
  type Rules,
  type Payload as StoredPayload,
  type Task,
  type TaskStore,
} from "@longhaul/core";
import {
  type ClaimedTask,
  ClaimedTaskSchema,
  type ClaimResult,
  ClaimResultSchema,
  type Hold,
  type Payload,
  PayloadSchema,
  type StoredNode,
  StoredNodeSchema,
} from "@longhaul/proto/execution_service";
import { failureMessage, type Logger, nodeStateNumber } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";

export interface ClaimDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly rules: Rules;
  readonly log: Logger;
}

/** Values of one answer travel in it up to this size together; the others by key. */
const inlineBytes = 1_048_576;
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
  return Promise.all(
    outcomes.map(async (outcome, i) => {
      const result = create(ClaimResultSchema, { taskId: tickets[i]?.taskId ?? "" });
      if (outcome.kind !== "changed") return result;
      try {
        result.claimed = await claimedTask(deps, outcome.task, budget);
      } catch (why) {
        if (why instanceof LonghaulError && why.code === "unavailable") throw why;
        // What can't be read costs this task a try, and its neighbours in the group nothing.
        deps.log.error({ taskId: outcome.task.id, err: why }, "a claimed task could not be read; its lease will end");
      }
      return result;
    }),
  );
}

async function claimedTask(deps: ClaimDeps, task: Task, budget: { left: number }): Promise<ClaimedTask> {
  const message = create(ClaimedTaskSchema, {
    taskId: task.id,
    attempt: task.attempt,
    project: task.project,
    workflow: task.workflow,
    revision: task.revision,
    input: payloadMessage(task.input),
    lease: durationFromMs(deps.rules.leaseMs),
    deadline: timestampFromMs(task.deadline),
    createTime: timestampFromMs(task.createTime),
    labels: { ...task.labels },
    priority: task.priority,
    retryOf: task.retryOf ?? "",
  });
  // The first attempt of a task that retries no other has nothing stored: most tasks need no read here.
  if (task.attempt > 1 || task.retryOf !== undefined) message.nodes = (await storedRuns(deps.store, task)).map(storedNode);
  await inline(deps.payloads, [message.input, ...message.nodes.map((node) => node.output)], budget);
  return message;
}

async function storedRuns(store: TaskStore, task: Task): Promise<readonly NodeRun[]> {
  const runs: NodeRun[] = [];
  const key = { project: task.project, id: task.id };
  for (;;) {
    const last = runs.at(-1);
    const after = last === undefined ? undefined : { attempt: last.attempt, report: last.report, path: last.path };
    const page = await store.listNodeRuns(key, nodePage, after);
    runs.push(...page);
    if (page.length < nodePage) break;
  }
  return runs.filter((run) => isResult(run.state) || run.state === "running");
}

function storedNode(run: NodeRun): StoredNode {
  const message = create(StoredNodeSchema, {
    path: run.path,
    state: nodeStateNumber(run.state),
    tries: run.tries,
    startTime: timestampFromMs(run.startTime),
  });
  if (run.output !== undefined) message.output = payloadMessage(run.output);
  if (run.error !== undefined) message.error = failureMessage(run.error);
  return message;
}

function payloadMessage(payload: StoredPayload): Payload {
  return create(PayloadSchema, {
    value: payload.kind === "inline" ? { case: "json", value: Buffer.from(payload.json) } : { case: "key", value: payload.key },
  });
}

/** Puts stored values into the answer as long as there is room for them. */
async function inline(
  payloads: PayloadStore,
  messages: readonly (Payload | undefined)[],
  budget: { left: number },
): Promise<void> {
  const stored = messages.filter((message) => message?.value.case === "key");
  if (stored.length === 0 || budget.left <= 0) return;
  for (const message of stored) {
    if (message === undefined || message.value.case !== "key" || budget.left <= 0) continue;
    const [json] = await payloads.get([message.value.value]);
    if (json === undefined) continue;
    const bytes = Buffer.from(json);
    if (bytes.byteLength > budget.left) continue;
    budget.left -= bytes.byteLength;
    message.value = { case: "json", value: bytes };
  }
}
