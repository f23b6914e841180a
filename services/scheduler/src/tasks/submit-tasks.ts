import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  LonghaulError,
  type PayloadStore,
  type QueuedTask,
  type Rules,
  type Stored,
  type TaskId,
  type TaskStore,
} from "@longhaul/core";
import { type SubmitItem, type SubmitResult, SubmitResultSchema } from "@longhaul/proto/intake_service";
import { type Logger, newMessage, type SecretBox } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";
import type { LimitSettings } from "../limits/limit-settings.ts";
import type { Dispatcher } from "../loops/dispatcher.ts";
import type { Catalog } from "../workflows/catalog.ts";
import { type PayloadWriter, payloadWriter } from "./payloads.ts";
import { prepareTask } from "./prepare-task.ts";
import { showTask } from "./read-tasks.ts";
import { taskMessage } from "./task-message.ts";

export interface SubmitDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly catalog: Catalog;
  readonly limitSettings: Pick<LimitSettings, "keysOf">;
  readonly box: SecretBox;
  readonly rules: Rules;
  readonly now: () => number;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
  readonly log: Logger;
}

export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** One item on its way. */
interface Candidate {
  readonly at: number;
  readonly id: TaskId;
  readonly item: SubmitItem;
  readonly bodyHash: string | undefined;
}

/** The id of a task made with an idempotency key: UUIDv8 of a SHA-256, so that the primary key itself makes it unique. */
export function idOfKey(project: string, workflow: string, key: string): TaskId {
  const digest = createHash("sha256")
    .update(JSON.stringify([project, workflow, key]))
    .digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString("hex", 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

/** Accepts many submits with few writes; each item has its own result. Results in the order of the items. */
export async function submitTasks(deps: SubmitDeps, items: readonly SubmitItem[]): Promise<SubmitResult[]> {
  const results: (SubmitResult | undefined)[] = new Array<SubmitResult | undefined>(items.length).fill(undefined);
  const candidates: Candidate[] = [];
  // Two items with one key in one group: the first is stored, the others are answered from the store after it.
  const late: Candidate[] = [];
  const seen = new Set<TaskId>();
  items.forEach((item, at) => {
    const bodyHash = item.idempotencyKey === "" ? undefined : Buffer.from(item.bodyHash).toString("base64");
    const id = bodyHash === undefined ? item.id : idOfKey(item.project, item.workflow, item.idempotencyKey);
    const candidate: Candidate = { at, id, item, bodyHash };
    if (!uuidPattern.test(id)) results[at] = refused(new LonghaulError("invalid_argument", "The id is not a UUID."));
    else if (seen.has(id)) late.push(candidate);
    else candidates.push(candidate);
    seen.add(id);
  });

  // A key is looked up before anything is validated: a replay is answered alike even if the workflow changed meanwhile.
  const keyed = candidates.filter((one) => one.bodyHash !== undefined);
  const known = await found(deps, keyed);
  await Promise.all(
    keyed.map(async (one) => {
      const stored = known.get(one.id);
      if (stored !== undefined) results[one.at] = await answerKnown(deps, one, stored);
    }),
  );

  const writer = payloadWriter(deps.payloads);
  const accepted: { readonly one: Candidate; readonly task: QueuedTask }[] = [];
  for (const one of candidates) {
    if (results[one.at] !== undefined) continue;
    try {
      const runnable = await deps.catalog.resolve(one.item.project, one.item.workflow, one.item.revision);
      const limitKeys = await deps.limitSettings.keysOf(one.item.project, runnable.compiled);
      accepted.push({ one, task: prepareTask(deps, { limitKeys, ...one }, runnable, writer) });
    } catch (why) {
      results[one.at] = refusal(deps, why);
    }
  }
  await store(deps, accepted, writer, results);

  const rest = await found(deps, late);
  const first = new Map(candidates.map((one) => [one.id, one]));
  const others: Candidate[] = [];
  await Promise.all(
    late.map(async (one) => {
      const stored = rest.get(one.id);
      const before = first.get(one.id);
      if (stored !== undefined) results[one.at] = await answerKnown(deps, one, stored);
      // The same request is refused for the same reason; another one with the same key has its own chance.
      else if (before !== undefined && before.bodyHash === one.bodyHash) results[one.at] = results[before.at];
      else others.push(one);
    }),
  );
  if (others.length > 0) {
    const again = await submitTasks(
      deps,
      others.map(({ item }) => item),
    );
    others.forEach(({ at }, i) => {
      results[at] = again[i];
    });
  }
  return results.map((result) => result ?? missing());
}

async function store(
  deps: SubmitDeps,
  accepted: readonly { readonly one: Candidate; readonly task: QueuedTask }[],
  writer: PayloadWriter,
  results: (SubmitResult | undefined)[],
): Promise<void> {
  if (accepted.length === 0) return;
  const { dispatcher, ledger } = deps;
  const giveBack = (task: QueuedTask): void => {
    if (task.queueing.kind === "ticketed") dispatcher.unreserve(task.partition);
  };
  try {
    await writer.flush();
    const inserted = await deps.store.insert(accepted.map(({ task }) => task));
    const fresh: QueuedTask[] = [];
    const known: Candidate[] = [];
    accepted.forEach(({ one, task }, i) => {
      if (inserted[i] === "inserted") {
        fresh.push(task);
        results[one.at] = newMessage(SubmitResultSchema, {
          result: { case: "accepted", value: taskMessage(task, { input: undefined, output: undefined }) },
        });
      } else {
        giveBack(task);
        known.push(one);
      }
    });
    // Only an idempotency key makes the same id again: its former task may have been removed, values and all, after the flush above.
    const again = fresh.flatMap(({ bodyHash, input }) => (bodyHash !== undefined && input.kind === "stored" ? [input.key] : []));
    if (again.length > 0) await writer.flushAgain(new Set(again));
    ledger.inserted(fresh);
    releaseTickets(dispatcher, fresh);
    if (known.length === 0) return;
    const stored = await found(deps, known);
    await Promise.all(
      known.map(async (one) => {
        const task = stored.get(one.id);
        results[one.at] = task === undefined ? missing() : await answerKnown(deps, one, task);
      }),
    );
  } catch (why) {
    for (const { one, task } of accepted) {
      if (results[one.at] !== undefined) continue;
      // Whether it is stored is not known: room that was given may stay taken until the books are compared.
      giveBack(task);
      results[one.at] = refusal(deps, why);
    }
  }
}

/** After the commit: tickets go out, and backlogs are rung. */
export function releaseTickets(dispatcher: Dispatcher, tasks: readonly QueuedTask[]): void {
  const tickets = new Map<number, QueuedTask[]>();
  const bells = new Set<number>();
  for (const task of tasks) {
    if (task.queueing.kind === "backlog") bells.add(task.partition);
    if (task.queueing.kind !== "ticketed") continue;
    const group = tickets.get(task.partition);
    if (group === undefined) tickets.set(task.partition, [task]);
    else group.push(task);
  }
  for (const [partition, group] of tickets) {
    dispatcher.publish(
      partition,
      group.map((task) => ({ project: task.project, taskId: task.id, attempt: 0, alone: false })),
    );
  }
  for (const partition of bells) dispatcher.ring(partition);
}

async function found(deps: SubmitDeps, candidates: readonly Candidate[]): Promise<ReadonlyMap<TaskId, Stored>> {
  if (candidates.length === 0) return new Map();
  const stored = await deps.store.get(candidates.map(({ id, item }) => ({ project: item.project, id })));
  return new Map(stored.flatMap((one) => (one === undefined ? [] : [[one.task.id, one] as const])));
}

/** The id exists already: a replay of the same request, or a conflict with it. */
async function answerKnown(deps: SubmitDeps, one: Candidate, { task }: Stored): Promise<SubmitResult> {
  if (one.bodyHash !== task.bodyHash) {
    const message = "This idempotency key was used with another body; use a new key for a new task.";
    return refused(new LonghaulError("idempotency_mismatch", message));
  }
  try {
    const value = await showTask(deps.payloads, task);
    // Without a key, the id was made by the gateway for this one submit: it sent it again because an answer was lost.
    return create(SubmitResultSchema, {
      result: one.bodyHash === undefined ? { case: "accepted", value } : { case: "replayed", value },
    });
  } catch (why) {
    return refusal(deps, why);
  }
}

function missing(): SubmitResult {
  return refused(new LonghaulError("unavailable", "The task could not be stored; try again."));
}

/** What nobody expected is told to the log only: the caller gets a bare `internal`. */
function refusal(deps: Pick<SubmitDeps, "log">, why: unknown): SubmitResult {
  if (!(why instanceof LonghaulError) || why.code === "internal") deps.log.error({ err: why }, "a submit failed unexpectedly");
  return refused(why);
}

function refused(why: unknown): SubmitResult {
  const known = why instanceof LonghaulError ? why : new LonghaulError("internal", "internal error", { cause: why });
  return create(SubmitResultSchema, {
    result: {
      case: "refused",
      value: {
        code: known.code,
        message: known.message,
        faults: known.faults.map(({ pointer, message }) => ({ pointer, message })),
      },
    },
  });
}
