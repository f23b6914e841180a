import fc from "fast-check";
import { expect, test } from "vitest";
import type { Delivery } from "../ports/delivery-store.ts";
import { acceptTask } from "../task/accept.ts";
import type { TaskEvent } from "../task/events.ts";
import { defaultRules } from "../task/rules.ts";
import type { Task } from "../task/task.ts";
import { transition } from "../task/transition.ts";
import { wakeAt } from "../task/wake.ts";
import { deliverySettledAt, taskSettledAt } from "./settled.ts";

const t0 = 1_700_000_000_000;
const queued = acceptTask(
  {
    id: "t",
    project: "p",
    workflow: "w",
    revision: 1,
    input: { kind: "inline", json: "null" },
    text: "",
    labels: {},
    priority: 0,
    deadline: t0 + 60_000,
    webhook: { url: "u", sealedSecrets: [], sealedHeaders: {}, events: ["task.cancelled"] },
  },
  t0,
  true,
  defaultRules,
);

function after(task: Task, event: TaskEvent, now: number): Task {
  const decision = transition(task, event, now, defaultRules);
  if (!decision.ok) throw new Error(decision.why);
  return decision.next;
}

test("a task that has not ended is not settled, however old it is", () => {
  expect(taskSettledAt(queued)).toBeUndefined();
  expect(taskSettledAt(after(queued, { kind: "claim", executor: "A", attempt: 0 }, t0 + 1))).toBeUndefined();
});

test("an ended task is settled at its end, but not before its debts are paid", () => {
  const owing = after(queued, { kind: "cancel", reason: "" }, t0 + 5);
  expect(taskSettledAt(owing)).toBeUndefined();
  expect(taskSettledAt(after(owing, { kind: "settle", key: "task.cancelled" }, t0 + 900))).toBe(t0 + 5);
  const { webhook: _, ...quiet } = queued;
  expect(taskSettledAt(after(quiet, { kind: "cancel", reason: "" }, t0 + 7))).toBe(t0 + 7);
});

test("whatever happens to a task, either something is owed or it is settled, and once settled it stays so", () => {
  const event: fc.Arbitrary<TaskEvent> = fc.oneof(
    fc.constant<TaskEvent>({ kind: "claim", executor: "A", attempt: 0 }),
    fc.constant<TaskEvent>({ kind: "cancel", reason: "" }),
    fc.constant<TaskEvent>({ kind: "wake", room: true }),
    fc.constant<TaskEvent>({ kind: "settle", key: "task.cancelled" }),
    fc.constant<TaskEvent>({ kind: "defer", key: "task.cancelled" }),
    fc.nat(5).map((sequence): TaskEvent => ({ kind: "delivery", event: "task.cancelled", state: "delivered", sequence })),
    fc.nat(2).map(
      (number): TaskEvent => ({
        kind: "report",
        executor: "A",
        attempt: 1,
        number,
        results: 1,
        outcome: { kind: "succeeded", output: { kind: "inline", json: "1" } },
      }),
    ),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(event, fc.nat(20_000)), { maxLength: 20 }), (steps) => {
      let task: Task = queued;
      let now = t0;
      for (const [step, ms] of steps) {
        now += ms;
        const before = taskSettledAt(task);
        const decision = transition(task, step, now, defaultRules);
        if (decision.ok) task = decision.next;
        expect(taskSettledAt(task) === undefined).toBe(wakeAt(task) !== undefined);
        if (before !== undefined) expect(taskSettledAt(task)).toBe(before);
      }
    }),
  );
});

test("a delivery is settled with its last attempt, once none is to come and the scheduler knows", () => {
  const attempt = { number: 1, status: 200, latencyMs: 1, error: "", responseStart: "" };
  const done: Delivery = {
    id: "t.task.succeeded",
    project: "p",
    taskId: "t",
    event: "task.succeeded",
    url: "u",
    endpoint: "e",
    sealedSecrets: [],
    sealedHeaders: {},
    body: "{}",
    createTime: t0,
    state: "delivered",
    attempts: [
      { ...attempt, time: t0 + 3 },
      { ...attempt, time: t0 + 9 },
    ],
    made: 2,
    madeInRound: 2,
    sequence: 1,
    unreported: false,
  };
  expect(deliverySettledAt(done)).toBe(t0 + 9);
  expect(deliverySettledAt({ ...done, attempts: [] })).toBe(t0);
  expect(deliverySettledAt({ ...done, unreported: true })).toBeUndefined();
  expect(deliverySettledAt({ ...done, state: "pending", nextAttemptTime: t0 + 20 })).toBeUndefined();
});
