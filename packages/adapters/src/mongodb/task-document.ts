import {
  type Arrival,
  type Debt,
  type DeliveryStateName,
  type Failure,
  LonghaulError,
  type ParentLink,
  type Queueing,
  type Spent,
  type Stored,
  searchedText,
  type Task,
  type TaskCommon,
  type TaskStateName,
  type WaitingFor,
  type WebhookTarget,
  wakeAt,
} from "@longhaul/core";
import { type PayloadDocument, payloadFromDocument, payloadSize, payloadToDocument } from "./payload-document.ts";
import { hasWords } from "./words.ts";
import { newWriteId } from "./write-id.ts";

type EarlierDebt = Omit<Extract<Debt, { kind: "webhook" }>, "key">;

/** What changes with the task; written as a whole, so that nothing of an earlier state stays behind. */
interface HeadDocument {
  readonly version: number;
  readonly attempt: number;
  readonly report: number;
  readonly tries: number;
  readonly alone: boolean;
  readonly startTime?: number | undefined;
  readonly delivery?: { readonly state: DeliveryStateName; readonly sequence: number } | undefined;
  /** Absent when nothing is owed. Those that an earlier version wrote lack the key. */
  readonly owes?: readonly (Debt | EarlierDebt)[] | undefined;
  readonly children?: true | undefined;
  /** JSON text, because its errors may have any key. */
  readonly inbox?: string | undefined;
  readonly arrivals?: number | undefined;
  readonly spent?: Spent | undefined;
  readonly hold?: number | undefined;
  readonly queueing?: Queueing;
  readonly since?: number;
  readonly executor?: string;
  readonly leaseUntil?: number;
  readonly waits?: readonly WaitingFor[];
  readonly waitCount?: number;
  /** As an earlier version wrote it. */
  readonly waitingFor?: Omit<WaitingFor, "reason">;
  readonly endTime?: number;
  readonly output?: PayloadDocument;
  /** JSON text, because its details may have any key. */
  readonly error?: string;
}

/** The fields that a change of the task writes, besides `rev` and `writeId`. */
interface TaskChangeDocument {
  readonly state: TaskStateName;
  /** Null when nothing is due; the index of due tasks holds numbers only. */
  readonly wakeAt: number | null;
  readonly backlog: boolean;
  readonly head: HeadDocument;
}

/** A task as it lies in `tasks`. Times are milliseconds since the epoch. */
export interface TaskDocument extends TaskChangeDocument {
  readonly _id: string;
  readonly project: string;
  readonly partition: number;
  readonly workflow: string;
  readonly revision: number;
  readonly priority: number;
  readonly createTime: number;
  readonly deadline: number;
  readonly input: PayloadDocument;
  /** What a search looks at; absent where that is just the beginning of the input. */
  readonly text?: string | undefined;
  /** True until the words of `text` are in the search index. */
  readonly unindexed?: true | undefined;
  /** The segment of the search index that has its words. */
  readonly segment?: string;
  /** Set while it is being removed: nobody sees it any more. */
  readonly removing?: string;
  /** `name=value`, with `%` and `=` in names escaped; absent without labels. */
  readonly labels?: readonly string[] | undefined;
  readonly notBefore?: number | undefined;
  /** JSON text, because header names are keys. */
  readonly webhook?: string | undefined;
  readonly bodyHash?: string | undefined;
  readonly retryOf?: string | undefined;
  readonly parent?: ParentLink | undefined;
  readonly depth?: number | undefined;
  readonly limitKeys?: readonly string[] | undefined;
  readonly insertId: string;
  readonly rev: number;
  readonly writeId: string;
}

export function taskToDocument(task: Task): TaskDocument {
  const labels = Object.entries(task.labels).map(([name, value]) => labelTerm(name, value));
  const id = newWriteId();
  return {
    _id: task.id,
    project: task.project,
    partition: task.partition,
    workflow: task.workflow,
    revision: task.revision,
    priority: task.priority,
    createTime: task.createTime,
    deadline: task.deadline,
    input: payloadToDocument(task.input),
    text: task.input.kind === "inline" && task.text === searchedText(task.input.json) ? undefined : task.text,
    unindexed: hasWords(task.text) ? true : undefined,
    labels: labels.length > 0 ? labels : undefined,
    notBefore: task.notBefore,
    webhook: task.webhook && JSON.stringify(task.webhook),
    bodyHash: task.bodyHash,
    retryOf: task.retryOf,
    parent: task.parent,
    depth: task.depth,
    limitKeys: task.limitKeys,
    insertId: id,
    rev: 0,
    writeId: id,
    ...taskChange(task),
  };
}

/** What of a task may change after its insert. */
export function taskChange(task: Task): TaskChangeDocument {
  return {
    state: task.state,
    wakeAt: wakeAt(task) ?? null,
    backlog: task.state === "queued" && task.queueing.kind === "backlog",
    head: {
      version: task.version,
      attempt: task.attempt,
      report: task.report,
      tries: task.tries,
      alone: task.alone,
      startTime: task.startTime,
      delivery: task.delivery,
      owes: task.owes.length > 0 ? task.owes : undefined,
      children: task.children,
      inbox: task.inbox && JSON.stringify(task.inbox),
      arrivals: task.arrivals,
      spent: task.spent,
      hold: task.hold,
      ...stateFields(task),
    },
  };
}

function stateFields(task: Task): Partial<HeadDocument> {
  switch (task.state) {
    case "queued":
      return { queueing: task.queueing, since: task.since };
    case "running":
      return { executor: task.executor, leaseUntil: task.leaseUntil };
    case "waiting":
      return { waits: task.waits, waitCount: task.waitCount };
    case "succeeded":
      return { endTime: task.endTime, output: payloadToDocument(task.output) };
    default:
      return { endTime: task.endTime, error: JSON.stringify(task.error) };
  }
}

export function storedFromDocument(document: TaskDocument): Stored {
  return { task: taskFromDocument(document), rev: document.rev };
}

function taskFromDocument(document: TaskDocument): Task {
  const { head, state } = document;
  const common = commonFromDocument(document);
  switch (state) {
    case "queued":
      if (head.queueing && head.since !== undefined) return { ...common, state, queueing: head.queueing, since: head.since };
      break;
    case "running":
      if (head.executor !== undefined && head.leaseUntil !== undefined) {
        return { ...common, state, executor: head.executor, leaseUntil: head.leaseUntil };
      }
      break;
    case "waiting":
      if (head.waits && head.waitCount !== undefined) {
        return { ...common, state, waits: head.waits, waitCount: head.waitCount };
      }
      if (head.waitingFor) {
        return { ...common, state, waits: [{ ...head.waitingFor, reason: "The node waits." }], waitCount: 1 };
      }
      break;
    case "succeeded":
      if (head.endTime !== undefined && head.output) {
        return { ...common, state, endTime: head.endTime, output: payloadFromDocument(head.output) };
      }
      break;
    default:
      if (head.endTime !== undefined && head.error !== undefined) {
        const error: Failure = JSON.parse(head.error);
        return { ...common, state, endTime: head.endTime, error };
      }
  }
  throw new LonghaulError("internal", `the stored task ${document._id} lacks what its state ${state} needs`);
}

function commonFromDocument(document: TaskDocument): TaskCommon {
  const { head } = document;
  const common: { -readonly [K in keyof TaskCommon]: TaskCommon[K] } = {
    id: document._id,
    project: document.project,
    partition: document.partition,
    workflow: document.workflow,
    revision: document.revision,
    input: payloadFromDocument(document.input),
    text: textOf(document),
    labels: document.labels ? Object.fromEntries(document.labels.map(labelOf)) : {},
    priority: document.priority,
    createTime: document.createTime,
    deadline: document.deadline,
    version: head.version,
    attempt: head.attempt,
    report: head.report,
    tries: head.tries,
    alone: head.alone,
    owes: head.owes?.map((debt) => ("key" in debt ? debt : { ...debt, key: debt.event })) ?? [],
  };
  if (document.notBefore !== undefined) common.notBefore = document.notBefore;
  if (document.webhook !== undefined) {
    const webhook: WebhookTarget = JSON.parse(document.webhook);
    common.webhook = webhook;
  }
  if (document.bodyHash !== undefined) common.bodyHash = document.bodyHash;
  if (document.retryOf !== undefined) common.retryOf = document.retryOf;
  if (document.parent !== undefined) common.parent = document.parent;
  if (document.depth !== undefined) common.depth = document.depth;
  if (document.limitKeys !== undefined) common.limitKeys = document.limitKeys;
  if (head.startTime !== undefined) common.startTime = head.startTime;
  if (head.delivery !== undefined) common.delivery = head.delivery;
  if (head.children !== undefined) common.children = head.children;
  if (head.inbox !== undefined) {
    const inbox: readonly Arrival[] = JSON.parse(head.inbox);
    common.inbox = inbox;
  }
  if (head.arrivals !== undefined) common.arrivals = head.arrivals;
  if (head.spent !== undefined) common.spent = head.spent;
  if (head.hold !== undefined) common.hold = head.hold;
  return common;
}

/** What a search looks at. */
export function textOf({ text, input }: Pick<TaskDocument, "text" | "input">): string {
  return text ?? searchedText(input.json ?? "");
}

/** A label as one string that holds both and can be taken apart again; keys of documents can't hold any name. */
export function labelTerm(name: string, value: string): string {
  return `${name.replaceAll("%", "%25").replaceAll("=", "%3D")}=${value}`;
}

function labelOf(term: string): [string, string] {
  const at = term.indexOf("=");
  return [term.slice(0, at).replaceAll("%3D", "=").replaceAll("%25", "%"), term.slice(at + 1)];
}

/** About how many bytes a new task takes. */
export function taskSize(task: Task): number {
  return 1_024 + payloadSize(task.input) + task.text.length;
}

/** About how many bytes a changed task takes. */
export function changedSize(task: Task): number {
  const output = task.state === "succeeded" ? payloadSize(task.output) : 0;
  const waits = task.state === "waiting" ? task.waits.length * 256 : 0;
  const inbox = task.inbox?.reduce((sum, { payload }) => sum + 256 + payloadSize(payload), 0) ?? 0;
  return 512 + output + waits + inbox;
}
