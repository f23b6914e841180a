import {
  type NodeRun,
  type Payload,
  type Stored,
  searchedText,
  type Task,
  type TaskCommon,
  type TaskStateName,
  taskSettledAt,
  taskStates,
  unreachable,
  wakeAt,
} from "@longhaul/core";
import { numberAt, type Row, type SqlValue, textAt } from "./connection.ts";

/** What is said at submit and has a column of its own nowhere; kept as JSON. */
type Fixed = Pick<
  TaskCommon,
  "revision" | "labels" | "deadline" | "notBefore" | "webhook" | "bodyHash" | "retryOf" | "parent" | "depth" | "limitKeys"
> & {
  /** Only where the column can't hold it. */
  readonly text?: string;
  readonly storedInput?: Payload;
};

/** What changes, the same in every state. */
type Moving = Pick<
  TaskCommon,
  | "version"
  | "attempt"
  | "report"
  | "tries"
  | "alone"
  | "owes"
  | "startTime"
  | "delivery"
  | "children"
  | "inbox"
  | "arrivals"
  | "spent"
  | "hold"
>;

/** The columns of `tasks` and `bodies` that make a whole task, in the order that `storedOf` reads. */
export const taskColumns =
  "t.id, t.project, t.part, t.workflow, t.priority, t.create_time, t.rev, t.head, t.output, b.fixed, b.input, b.words";

/** The number that stands for a state in the `state` column. */
export function stateNumber(state: TaskStateName): number {
  return taskStates.indexOf(state);
}

/** 1 for a task in the backlog, else null: the partial index holds only what is not null. */
export function backlogMark(task: Task): 1 | null {
  return task.state === "queued" && task.queueing.kind === "backlog" ? 1 : null;
}

/** The `limit_key` column: what a queued task waits for a slot of. */
export function limitMark(task: Task): string | null {
  return task.state === "queued" && task.queueing.kind === "limited" ? searchable(task.queueing.key) : null;
}

/** The `wake_at` column. */
export function wakeMark(task: Task): number | null {
  return wakeAt(task) ?? null;
}

/** The `settled_at` column. */
export function settledMark(task: Task): number | null {
  return taskSettledAt(task) ?? null;
}

/**
 * The `head` column: everything that a change of state may change, except an inline output. One flat literal per state, because
 * this runs with every write; JSON leaves out what is undefined.
 */
export function headOf(task: Task): string {
  const { state, version, attempt, report, tries, alone, owes, startTime, delivery, children, inbox, arrivals, spent, hold } =
    task;
  switch (state) {
    case "queued": {
      const { queueing, since } = task;
      return JSON.stringify({
        state,
        version,
        attempt,
        report,
        tries,
        alone,
        owes,
        startTime,
        delivery,
        queueing,
        since,
        children,
        inbox,
        arrivals,
        spent,
        hold,
      });
    }
    case "running": {
      const { executor, leaseUntil } = task;
      return JSON.stringify({
        state,
        version,
        attempt,
        report,
        tries,
        alone,
        owes,
        startTime,
        delivery,
        executor,
        leaseUntil,
        children,
        inbox,
        arrivals,
        spent,
        hold,
      });
    }
    case "waiting": {
      const { waits, waitCount } = task;
      return JSON.stringify({
        state,
        version,
        attempt,
        report,
        tries,
        alone,
        owes,
        startTime,
        delivery,
        waits,
        waitCount,
        children,
        inbox,
        arrivals,
        spent,
        hold,
      });
    }
    case "succeeded": {
      const { endTime } = task;
      const output = referenceOf(task.output);
      return JSON.stringify({
        state,
        version,
        attempt,
        report,
        tries,
        alone,
        owes,
        startTime,
        delivery,
        endTime,
        output,
        children,
        inbox,
        arrivals,
        spent,
        hold,
      });
    }
    case "failed":
    case "cancelled":
    case "timed_out": {
      const { endTime, error } = task;
      return JSON.stringify({
        state,
        version,
        attempt,
        report,
        tries,
        alone,
        owes,
        startTime,
        delivery,
        endTime,
        error,
        children,
        inbox,
        arrivals,
        spent,
        hold,
      });
    }
    default:
      return unreachable(task);
  }
}

/** The `output` column. */
export function outputOf(task: Task): string | null {
  return task.state === "succeeded" ? inlineOf(task.output) : null;
}

/** The columns of a task's row in `tasks` behind `seq`, in the order of the table. */
export function taskRow(task: Task): SqlValue[] {
  return [
    task.id,
    task.project,
    task.partition,
    task.workflow,
    task.priority,
    task.createTime,
    0,
    stateNumber(task.state),
    wakeMark(task),
    backlogMark(task),
    headOf(task),
    outputOf(task),
    settledMark(task),
    limitMark(task),
  ];
}

/** The columns of a task's row in `bodies` behind `seq`, in the order of the table. */
export function bodyRow(task: Task): SqlValue[] {
  const words = searchable(task.text);
  const { revision, labels, deadline, notBefore, webhook, bodyHash, retryOf, parent, depth, limitKeys } = task;
  const text = words === task.text ? undefined : task.text;
  const storedInput = referenceOf(task.input);
  const said = { revision, labels, deadline, notBefore, webhook, bodyHash, retryOf, parent, depth, limitKeys, text, storedInput };
  const fixed = JSON.stringify(said);
  const input = inlineOf(task.input);
  const isBeginning = text === undefined && input !== null && words === searchedText(input);
  return [fixed, input, isBeginning ? null : words];
}

/** A whole task from a row of `taskColumns`. */
export function storedOf(row: Row): Stored {
  // What was written here as JSON is read back as the same types.
  const head: Moving & Omit<Task, keyof TaskCommon> = JSON.parse(textAt(row, 7));
  const { text, storedInput, ...fixed }: Fixed = JSON.parse(textAt(row, 9));
  const common = {
    id: textAt(row, 0),
    project: textAt(row, 1),
    partition: numberAt(row, 2),
    workflow: textAt(row, 3),
    priority: numberAt(row, 4),
    createTime: numberAt(row, 5),
    input: payloadOf(storedInput, row[10]),
    text: text ?? (row[11] === null ? searchedText(textAt(row, 10)) : textAt(row, 11)),
  };
  const task: unknown = Object.assign(common, fixed, head);
  return { task: withOutput(task as Task, row[8]), rev: numberAt(row, 6) };
}

function withOutput(task: Task, column: SqlValue | undefined): Task {
  return task.state === "succeeded" && typeof column === "string" ? { ...task, output: { kind: "inline", json: column } } : task;
}

/** The columns that make a node run, in the order that `nodeRunOf` reads. */
export const nodeRunColumns = "task_id, path, project, attempt, report, rest, input, output";

type RunRest = Pick<
  NodeRun,
  "kind" | "state" | "startTime" | "endTime" | "tries" | "error" | "wait" | "usage" | "log" | "childId" | "secret"
> & {
  readonly storedInput?: Payload;
  readonly storedOutput?: Payload;
};

/** The columns of a node run, in the order of `nodeRunColumns`. */
export function nodeRunRow(run: NodeRun): SqlValue[] {
  const { kind, state, startTime, endTime, tries, error, wait, usage, log, childId, secret, input, output } = run;
  const storedInput = referenceOf(input);
  const storedOutput = referenceOf(output);
  const said = { kind, state, startTime, endTime, tries, error, wait, usage, log, childId, secret, storedInput, storedOutput };
  const rest = JSON.stringify(said);
  return [run.taskId, run.path, run.project, run.attempt, run.report, rest, inlineOf(input), inlineOf(output)];
}

/** A node run from a row of `nodeRunColumns`. */
export function nodeRunOf(row: Row): NodeRun {
  const { storedInput, storedOutput, ...rest }: RunRest = JSON.parse(textAt(row, 5));
  const key = { taskId: textAt(row, 0), path: textAt(row, 1), project: textAt(row, 2) };
  const input = storedInput ?? inline(row[6]);
  const output = storedOutput ?? inline(row[7]);
  return {
    ...key,
    attempt: numberAt(row, 3),
    report: numberAt(row, 4),
    ...rest,
    ...(input ? { input } : {}),
    ...(output ? { output } : {}),
  };
}

function inlineOf(payload: Payload | undefined): string | null {
  return payload?.kind === "inline" ? payload.json : null;
}

function referenceOf(payload: Payload | undefined): Payload | undefined {
  return payload?.kind === "stored" ? payload : undefined;
}

function inline(column: SqlValue | undefined): Payload | undefined {
  return typeof column === "string" ? { kind: "inline", json: column } : undefined;
}

function payloadOf(stored: Payload | undefined, column: SqlValue | undefined): Payload {
  const payload = stored ?? inline(column);
  if (!payload) throw new TypeError("a task has no input");
  return payload;
}

/** Text as a column can hold it: the driver cuts at a NUL, and half a surrogate pair is no UTF-8. */
export function searchable(text: string): string {
  return misfit.test(text) ? Buffer.from(text).toString().replaceAll("\u0000", " ") : text;
}

const misfit = /[\0\ud800-\udfff]/;
