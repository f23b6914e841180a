import {
  acceptTask,
  type EndedTask,
  LonghaulError,
  type NodeRun,
  type Payload,
  type PayloadStore,
  type Rules,
  type Stored,
  type Submission,
  type Task,
  type TaskId,
  type TaskStore,
} from "@longhaul/core";
import type { Ledger } from "../ledger/ledger.ts";
import type { LimitSettings } from "../limits/limit-settings.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";
import type { Catalog } from "../workflows/catalog.ts";
import { valuePart } from "./sealed-values.ts";
import { idOfKey, releaseTickets } from "./submit-tasks.ts";

/** What of an ended task a new one goes on with. */
export interface RetryPlan {
  /** Revision that the new task runs. */
  readonly revision: number;
  /** Whether the new task goes on behind this result. */
  readonly keeps: (run: NodeRun) => boolean;
  /** Tells one plan from another, for idempotency keys; empty for the plain one. */
  readonly mark: string;
}

export interface RetryDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly catalog: Pick<Catalog, "compiledOf">;
  readonly limitSettings: Pick<LimitSettings, "keysOf">;
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
  plan: RetryPlan,
): Promise<{ readonly task: Task; readonly replayed: boolean }> {
  const isKeyed = request.idempotencyKey !== "";
  const id = isKeyed ? idOfKey(old.project, `${old.workflow}:retry:${old.id}`, request.idempotencyKey) : request.id;
  const bodyHash = `${old.id}${plan.mark}`;
  const replay = ({ task }: Stored): { readonly task: Task; readonly replayed: boolean } => {
    if (!isKeyed || task.bodyHash === bodyHash) return { task, replayed: true };
    const message = "This idempotency key was used to retry the task in another way; use a new key for a new task.";
    throw new LonghaulError("idempotency_mismatch", message);
  };
  if (isKeyed) {
    const [known] = await deps.store.get([{ project: old.project, id }]);
    if (known !== undefined) return replay(known);
  }

  const input = await copyOf(deps.payloads, old.input, `${id}/input`);
  await copyResults(deps, old, id, plan);
  const [still] = await deps.store.get([{ project: old.project, id: old.id }]);
  // It expired under our hands: some of what was to be copied may have been gone already.
  if (still === undefined) throw expired();
  const compiled = await deps.catalog.compiledOf(old.project, old.workflow, plan.revision);
  const limitKeys = await deps.limitSettings.keysOf(old.project, compiled);
  const now = deps.now();
  const submission: Submission = {
    id,
    project: old.project,
    workflow: old.workflow,
    revision: plan.revision,
    input,
    text: old.text,
    labels: old.labels,
    priority: old.priority,
    // As much time as the first one had.
    deadline: now + Math.max(1_000, old.deadline - Math.max(old.createTime, old.notBefore ?? 0)),
    retryOf: old.id,
    ...(old.webhook === undefined ? {} : { webhook: old.webhook }),
    ...(isKeyed ? { bodyHash } : {}),
    ...(limitKeys === undefined ? {} : { limitKeys }),
  };
  const room = limitKeys === undefined && deps.dispatcher.reserve(old.partition);
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
  return replay(known);
}

async function copyResults({ store, payloads }: RetryDeps, old: EndedTask, id: TaskId, plan: RetryPlan): Promise<void> {
  let after: { attempt: number; report: number; path: string } | undefined;
  for (;;) {
    const page: readonly NodeRun[] = await store.listNodeRuns({ project: old.project, id: old.id }, nodePage, after);
    // What failed or was under way is what the retry is for, and what was skipped may have been skipped because of it.
    const kept: NodeRun[] = [];
    for (const run of page) {
      if (run.state !== "succeeded" || !plan.keeps(run)) continue;
      const keyOf = (part: string): string => `${id}/${run.path}/0/0/${part}`;
      const isSecret = run.secret === true;
      // One after the other: large values are few, and many of them together would not fit into memory.
      const input = run.input && (await copyOf(payloads, run.input, keyOf(valuePart("input", isSecret))));
      const output = run.output && (await copyOf(payloads, run.output, keyOf(valuePart("output", isSecret))));
      const log = run.log && (await copyOf(payloads, run.log, keyOf("log")));
      const values = { ...(input && { input }), ...(output && { output }), ...(log && { log }) };
      kept.push({ ...run, taskId: id, attempt: 0, report: 0, ...values });
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
