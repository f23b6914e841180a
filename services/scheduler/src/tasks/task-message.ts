import { create } from "@bufbuild/protobuf";
import type { DeliveryStateName, Task as StoredTask, TaskStateName } from "@longhaul/core";
import {
  DeliveryState,
  DeliverySummarySchema,
  type Task,
  TaskLinksSchema,
  TaskParentSchema,
  TaskSchema,
  TaskState,
  type WaitingFor,
  WaitingForSchema,
} from "@longhaul/proto/task";
import { failureMessage, newMessage, newTimestamp, spendMessage, valueFromJson, waitingMessage } from "@longhaul/shared";

const stateNumbers = {
  queued: TaskState.QUEUED,
  running: TaskState.RUNNING,
  waiting: TaskState.WAITING,
  succeeded: TaskState.SUCCEEDED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
  timed_out: TaskState.TIMED_OUT,
} as const satisfies Record<TaskStateName, TaskState>;

const deliveryStateNumbers = {
  pending: DeliveryState.PENDING,
  paused: DeliveryState.PAUSED,
  delivered: DeliveryState.DELIVERED,
  exhausted: DeliveryState.EXHAUSTED,
} as const satisfies Record<DeliveryStateName, DeliveryState>;

/** The stored name of a state on the wire; undefined for unspecified and for numbers of a later version. */
export function stateName(state: TaskState): TaskStateName | undefined {
  return (Object.keys(stateNumbers) as TaskStateName[]).find((name) => stateNumbers[name] === state);
}
export function deliveryStateName(state: DeliveryState): DeliveryStateName | undefined {
  return (Object.keys(deliveryStateNumbers) as DeliveryStateName[]).find((name) => deliveryStateNumbers[name] === state);
}

/** The values of a task as JSON text; undefined where they are left out. */
export interface TaskValues {
  readonly input: string | undefined;
  readonly output: string | undefined;
}

/** A stored task as the API shows it. */
export function taskMessage(task: StoredTask, values: TaskValues): Task {
  const message = newMessage(TaskSchema, {
    id: task.id,
    project: task.project,
    workflow: task.workflow,
    revision: task.revision,
    state: stateNumbers[task.state],
    attempt: task.attempt,
    labels: { ...task.labels },
    priority: task.priority,
    createTime: newTimestamp(task.createTime),
    deadline: newTimestamp(task.deadline),
    retryOf: task.retryOf ?? "",
    version: BigInt(task.version),
  });
  if (values.input !== undefined) message.input = valueFromJson(JSON.parse(values.input));
  if (values.output !== undefined) message.output = valueFromJson(JSON.parse(values.output));
  if (task.startTime !== undefined) message.startTime = newTimestamp(task.startTime);
  if (task.notBefore !== undefined) message.notBefore = newTimestamp(task.notBefore);
  if (task.state === "succeeded" || task.state === "failed" || task.state === "cancelled" || task.state === "timed_out") {
    message.endTime = newTimestamp(task.endTime);
    if (task.state !== "succeeded") message.error = failureMessage(task.error);
  }
  if (task.parent !== undefined) message.parent = create(TaskParentSchema, task.parent);
  if (task.spent !== undefined) message.usage = spendMessage(task.spent);
  if (task.state === "waiting") message.waits = task.waits.map((wait) => waitingMessage(wait, task.waitCount));
  const waitingFor = waitingForMessage(task);
  if (waitingFor !== undefined) message.waitingFor = waitingFor;
  if (task.delivery !== undefined) {
    message.delivery = create(DeliverySummarySchema, { state: deliveryStateNumbers[task.delivery.state] });
  }
  const self = `/v1/tasks/${task.id}`;
  message.links = newMessage(TaskLinksSchema, {
    self,
    events: `${self}/events`,
    nodes: `${self}/nodes`,
    deliveries: `${self}/deliveries`,
    cancel: `${self}:cancel`,
  });
  return message;
}

/** A waiting task explains itself. */
function waitingForMessage(task: StoredTask): WaitingFor | undefined {
  if (task.state === "waiting") {
    const [first] = task.waits;
    return first && waitingMessage(first, task.waitCount);
  }
  if (task.state !== "queued") return undefined;
  const since = newTimestamp(task.since);
  const { queueing } = task;
  switch (queueing.kind) {
    case "backlog":
      return create(WaitingForSchema, {
        kind: "room",
        reason: "Earlier tasks of the same partition are dispatched first.",
        since,
      });
    case "limited": {
      const { key } = queueing;
      return create(WaitingForSchema, { kind: "limit", name: key, reason: `It waits for a slot of limit "${key}".`, since });
    }
    case "ticketed":
      return create(WaitingForSchema, { kind: "executor", reason: "Any executor with a free place may take it.", since });
    case "delayed": {
      const until = newTimestamp(queueing.until);
      if (queueing.why === "start_time") {
        return create(WaitingForSchema, { kind: "start_time", reason: "It was asked to start later.", since, until });
      }
      const reason =
        queueing.node === undefined
          ? "Its executor was lost; the next attempt comes after a pause."
          : `Node "${queueing.node}" is tried again after a pause.`;
      return create(WaitingForSchema, { kind: "retry", reason, node: queueing.node ?? "", since, until });
    }
  }
}
