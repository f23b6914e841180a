import {
  acceptTask,
  type EndedTask,
  LonghaulError,
  type NodeRun,
  type Payload,
  type PayloadStore,
  type Rules,
  type Submission,
  type Task,
  type TaskId,
  type TaskStore,
} from "@longhaul/core";
import type { Ledger } from "../ledger/ledger.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";
import { idOfKey, releaseTickets } from "./submit-tasks.ts";

export interface RetryDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly rules: Rules;
  readonly now: () => number;
}

const nodePage = 500;

/**
 * Makes a new task that goes on behind the stored results of an ended one, so that an ending stays an ending. The results are
 * copied before the new task exists: a crash in between leaves rows that nothing points to, and no task without them.
 */
export async function retryTask(
  deps: RetryDeps,
  old: EndedTask,
  request: { readonly id: TaskId; readonly idempotencyKey: string },
): Promise<{ readonly task: Task; readonly replayed: boolean }> {
  const isKeyed = request.idempotencyKey !== "";
  const id = isKeyed ? idOfKey(old.project, `${old.workflow}:retry:${old.id}`, request.idempotencyKey) : request.id;
  if (isKeyed) {
    const [known] = await deps.store.get([{ project: old.project, id }]);
    if (known !== undefined) return { task: known.task, replayed: true };
  }

  const input = await copyOf(deps.payloads, old.input, `${id}/input`);
  await copyResults(deps, old, id);
  const [still] = await deps.store.get([{ project: old.project, id: old.id }]);
  // It expired under our hands: some of what was to be copied may have been gone already.
  if (still === undefined) throw expired();
  const now = deps.now();
  const submission: Submission = {
    id,
    project: old.project,
    workflow: old.workflow,
    revision: old.revision,
    input,
    text: old.text,
    labels: old.labels,
    priority: old.priority,
    // As much time as the first one had.
    deadline: now + Math.max(1_000, old.deadline - Math.max(old.createTime, old.notBefore ?? 0)),
    retryOf: old.id,
    ...(old.webhook === undefined ? {} : { webhook: old.webhook }),
    ...(isKeyed ? { bodyHash: old.id } : {}),
  };
  const room = deps.dispatcher.reserve(old.partition);
  const task = acceptTask(submission, now, room, deps.rules);
  const [result] = await deps.store.insert([task]);
  if (result === "inserted") {
    deps.ledger.inserted([task]);
    releaseTickets(deps.dispatcher, [task]);
    return { task, replayed: false };
  }
  if (room) deps.dispatcher.unreserve(old.partition);
  const [known] = await deps.store.get([{ project: old.project, id }]);
  if (known === undefined) throw new LonghaulError("unavailable", "The task could not be stored; try again.");
  return { task: known.task, replayed: true };
}

async function copyResults({ store, payloads }: RetryDeps, old: EndedTask, id: TaskId): Promise<void> {
  let after: { attempt: number; report: number; path: string } | undefined;
  for (;;) {
    const page: readonly NodeRun[] = await store.listNodeRuns({ project: old.project, id: old.id }, nodePage, after);
    // What failed or was under way is what the retry is for, and what was skipped may have been skipped because of it.
    const kept: NodeRun[] = [];
    for (const run of page) {
      if (run.state !== "succeeded") continue;
      // One after the other: large values are few, and many of them together would not fit into memory.
      const input = run.input && (await copyOf(payloads, run.input, `${id}/${run.path}/0/0/input`));
      const output = run.output && (await copyOf(payloads, run.output, `${id}/${run.path}/0/0/output`));
      kept.push({ ...run, taskId: id, attempt: 0, report: 0, ...(input && { input }), ...(output && { output }) });
    }
    if (kept.length > 0) await store.putNodeRuns(kept);
    const last = page.at(-1);
    if (last === undefined || page.length < nodePage) return;
    after = { attempt: last.attempt, report: last.report, path: last.path };
  }
}

/** Values belong to one task each, so that they can go when it goes. */
async function copyOf(payloads: PayloadStore, payload: Payload, key: string): Promise<Payload> {
  if (payload.kind === "inline") return payload;
  const [json] = await payloads.get([payload.key]);
  if (json === undefined) throw expired();
  await payloads.put([{ key, json }]);
  return { ...payload, key };
}

function expired(): LonghaulError {
  return new LonghaulError("expired", "The task's values are no longer kept; submit a new task.");
}
