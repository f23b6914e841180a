import type {
  Debt,
  Delivery,
  Failure,
  NodeRun,
  QueuedTask,
  RunningTask,
  SucceededTask,
  Task,
  TaskCommon,
  TaskKey,
  UnsuccessfulTask,
  WaitingFor,
  WaitingTask,
  WebhookEvent,
  WorkflowHead,
  WorkflowRevision,
} from "@longhaul/core";

/** The moment at which the built records begin: milliseconds since the epoch. */
export const startOfTime = 1_800_000_000_000;

let made = 0;

/** A fresh id in the form of a UUIDv7; ids rise with every call. */
export function freshId(): string {
  made++;
  const tail = made.toString(16).padStart(12, "0");
  return `01930000-0000-7000-8000-${tail}`;
}

/** What finds a task. */
export function keyOf(task: Task): TaskKey {
  return { project: task.project, id: task.id };
}

function common(over: Partial<TaskCommon>): TaskCommon {
  return {
    id: freshId(),
    project: "acme",
    partition: 7,
    workflow: "echo",
    revision: 1,
    input: { kind: "inline", json: '{"n":1}' },
    text: "",
    labels: {},
    priority: 0,
    createTime: startOfTime,
    deadline: startOfTime + 86_400_000,
    version: 1,
    attempt: 0,
    report: 0,
    tries: 0,
    alone: false,
    owes: [],
    ...over,
  };
}

/** A queued task; by default in the backlog. */
export function queued(over: Partial<Omit<QueuedTask, "state">> = {}): QueuedTask {
  return { ...common({}), queueing: { kind: "backlog" }, since: startOfTime, ...over, state: "queued" };
}

/** A task that an executor holds. */
export function running(over: Partial<Omit<RunningTask, "state">> = {}): RunningTask {
  return {
    ...common({ attempt: 1, tries: 1, version: 2, startTime: startOfTime + 5 }),
    executor: "executor-1",
    leaseUntil: startOfTime + 30_000,
    ...over,
    state: "running",
  };
}

/** A task that waits for a signal. */
export function waiting(over: Partial<Omit<WaitingTask, "state">> = {}): WaitingTask {
  return {
    ...common({ attempt: 1, version: 3 }),
    waits: [waitingFor()],
    waitCount: 1,
    ...over,
    state: "waiting",
  };
}

/** What a node waits for; a signal that may take for ever by default. */
export function waitingFor(over: Partial<WaitingFor> = {}): WaitingFor {
  return {
    kind: "signal",
    node: "confirm",
    since: startOfTime + 10,
    reason: 'Node "confirm" waits for a signal.',
    ...over,
  };
}

/** What an ended task owes its receiver. */
export function webhookDebt(event: WebhookEvent, dueAt: number, failures = 0): Debt {
  return { kind: "webhook", key: event, event, dueAt, failures };
}

/** A task that ended well and owes nothing. */
export function succeeded(over: Partial<Omit<SucceededTask, "state">> = {}): SucceededTask {
  return {
    ...common({ attempt: 1, version: 3 }),
    endTime: startOfTime + 100,
    output: { kind: "inline", json: '{"ok":true}' },
    ...over,
    state: "succeeded",
  };
}

/** A task that ended otherwise and owes nothing; `failed` by default. */
export function unsuccessful(over: Partial<UnsuccessfulTask> = {}): UnsuccessfulTask {
  return { ...common({ attempt: 1, version: 3 }), state: "failed", endTime: startOfTime + 100, error: failure(), ...over };
}

/** A failure with the fields that are always there. */
export function failure(over: Partial<Failure> = {}): Failure {
  return { code: "node_failed", message: "The node failed.", retryable: true, ...over };
}

/** A result of `task`'s node `fetch`. */
export function nodeRun(task: TaskKey, over: Partial<Omit<NodeRun, "taskId" | "project">> = {}): NodeRun {
  return {
    path: "fetch",
    kind: "transform",
    state: "succeeded",
    attempt: 1,
    report: 1,
    startTime: startOfTime + 10,
    tries: 1,
    ...over,
    taskId: task.id,
    project: task.project,
  };
}

/** A delivery that is due at once. */
export function delivery(over: Partial<Delivery> = {}): Delivery {
  const taskId = over.taskId ?? freshId();
  return {
    id: `${taskId}.task.succeeded`,
    project: "acme",
    taskId,
    event: "task.succeeded",
    url: "https://receiver.example/hook",
    endpoint: "acme https://receiver.example",
    sealedSecrets: ["sealed-1"],
    sealedHeaders: { "x-team": "sealed-2" },
    body: '{"type":"task.succeeded"}',
    createTime: startOfTime,
    state: "pending",
    nextAttemptTime: startOfTime,
    attempts: [],
    made: 0,
    madeInRound: 0,
    sequence: 0,
    unreported: false,
    ...over,
  };
}

/** The same delivery, finished: no `nextAttemptTime` any more. */
export function delivered(from: Delivery): Delivery {
  const { nextAttemptTime: _, ...rest } = from;
  return { ...rest, state: "delivered", sequence: from.sequence + 1, unreported: true };
}

/** The head of a workflow at its first revision. */
export function workflowHead(over: Partial<WorkflowHead> = {}): WorkflowHead {
  return {
    project: "acme",
    name: "echo",
    uid: "6b1b8b6e-0000-4000-8000-000000000001",
    revision: 1,
    enabled: true,
    deleted: false,
    createTime: startOfTime,
    updateTime: startOfTime,
    description: "",
    supportsAsync: true,
    ...over,
  };
}

/** One revision of a workflow. */
export function workflowRevision(over: Partial<WorkflowRevision> = {}): WorkflowRevision {
  return {
    project: "acme",
    name: "echo",
    revision: 1,
    uid: "6b1b8b6e-0000-4000-8000-000000000002",
    definition: { name: "echo", nodes: [{ id: "a", kind: "transform", with: { b: 1 } }] },
    createTime: startOfTime,
    description: "",
    supportsAsync: true,
    ...over,
  };
}
