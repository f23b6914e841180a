import { expect, test } from "vitest";
import { acceptTask } from "./accept.ts";
import { isResult, nodeStates } from "./node-run.ts";
import { partitionCount, partitionOf } from "./partition.ts";
import { defaultRules } from "./rules.ts";
import {
  commonOf,
  type EndedTask,
  isEnded,
  type RunningTask,
  taskStates,
  terminalStates,
  type WaitingFor,
  type WaitingTask,
} from "./task.ts";
import { wakeAt } from "./wake.ts";

const submission = {
  id: "t",
  project: "p",
  workflow: "w",
  revision: 1,
  input: { kind: "inline", json: "null" },
  text: "",
  labels: {},
  priority: 0,
  deadline: 10_000,
} as const;
const backlog = acceptTask(submission, 0, false, defaultRules);
const common = commonOf(backlog);
const running: RunningTask = { ...common, state: "running", executor: "A", leaseUntil: 3_000 };
const waiting: WaitingTask = {
  ...common,
  state: "waiting",
  waits: [{ kind: "signal", node: "n", since: 0, reason: "It waits." }],
  waitCount: 1,
};
const ended: EndedTask = { ...common, state: "succeeded", endTime: 1, output: { kind: "inline", json: "1" } };

test("a backlog task is looked at only at its deadline", () => {
  expect(wakeAt(backlog)).toBe(10_000);
});
test("a ticketed or delayed task is looked at at its time, or at its deadline when that comes first", () => {
  expect(wakeAt({ ...backlog, queueing: { kind: "ticketed", until: 5_000, looks: 0 } })).toBe(5_000);
  expect(wakeAt({ ...backlog, queueing: { kind: "delayed", why: "retry", until: 50_000 } })).toBe(10_000);
});
test("a running task is looked at at the end of its lease, or at its deadline when that comes first", () => {
  expect(wakeAt(running)).toBe(3_000);
  expect(wakeAt({ ...running, leaseUntil: 30_000 })).toBe(10_000);
});
test("a waiting task is looked at when its timer ends, or at its deadline when it has none or a later one", () => {
  expect(wakeAt(waiting)).toBe(10_000);
  const until = (at: number): WaitingFor => ({ kind: "timer", node: "m", since: 0, until: at, reason: "It waits." });
  expect(wakeAt({ ...waiting, waits: [until(4_000), until(5_000), ...waiting.waits], waitCount: 3 })).toBe(4_000);
  expect(wakeAt({ ...waiting, waits: [until(40_000)] })).toBe(10_000);
  expect(wakeAt({ ...waiting, waits: [] })).toBe(10_000);
});
test("an ended task is looked at for its earliest debt and never again once it owes nothing", () => {
  const debt = { kind: "webhook", key: "task.succeeded", event: "task.succeeded", failures: 0 } as const;
  expect(
    wakeAt({
      ...ended,
      owes: [
        { ...debt, dueAt: 9 },
        { ...debt, dueAt: 7 },
      ],
    }),
  ).toBe(7);
  expect(wakeAt(ended)).toBeUndefined();
});

test("an accepted task is ticketed when there is room, in the backlog when not, delayed when it is for later", () => {
  expect(acceptTask(submission, 5, true, defaultRules).queueing).toStrictEqual({ kind: "ticketed", until: 5_005, looks: 0 });
  expect(acceptTask(submission, 5, false, defaultRules).queueing).toStrictEqual({ kind: "backlog" });
  const later = acceptTask({ ...submission, notBefore: 6 }, 5, true, defaultRules);
  expect(later.queueing).toStrictEqual({ kind: "delayed", why: "start_time", until: 6 });
  expect(later.notBefore).toBe(6);
});
test("a start time that has come already delays nothing", () => {
  expect(acceptTask({ ...submission, notBefore: 5 }, 5, true, defaultRules).queueing.kind).toBe("ticketed");
});
test("an accepted task has no attempts, no tries, no debts, and the partition of its project", () => {
  const zero = { version: 1, attempt: 0, report: 0, tries: 0, alone: false, owes: [], createTime: 5, since: 5, state: "queued" };
  expect(acceptTask(submission, 5, true, defaultRules)).toMatchObject({ ...zero, partition: partitionOf("p") });
});

test("exactly the terminal states count as ended", () => {
  expect(taskStates.filter((state) => state === "queued" || state === "running" || state === "waiting")).toHaveLength(3);
  expect(taskStates.slice(3)).toStrictEqual(terminalStates);
  expect([backlog, running, waiting, ended].map(isEnded)).toStrictEqual([false, false, false, true]);
});
test("what is common to all states survives, what belongs to one state does not", () => {
  const full = {
    ...common,
    notBefore: 1,
    webhook: { url: "u", sealedSecrets: [], sealedHeaders: {}, events: [] },
    bodyHash: "h",
    retryOf: "r",
    startTime: 2,
    delivery: { state: "paused", sequence: 3 },
  } as const;
  expect(commonOf({ ...full, state: "running", executor: "A", leaseUntil: 3 })).toStrictEqual(full);
  expect(commonOf(backlog)).toStrictEqual(common);
  expect(Object.values(common)).not.toContain(undefined);
});

test("the partition of a project never changes, because it is stored", () => {
  expect(["", "default", "p1", "Ünïcode-\u{1F680}"].map(partitionOf)).toStrictEqual([5, 30, 58, 29]);
  expect(partitionCount).toBe(64);
});
test("projects spread over all partitions", () => {
  const seen = new Map<number, number>();
  for (let i = 0; i < 6_400; i++) seen.set(partitionOf(`project-${i}`), (seen.get(partitionOf(`project-${i}`)) ?? 0) + 1);
  expect([...seen.keys()].every((partition) => Number.isInteger(partition) && partition >= 0 && partition < 64)).toBe(true);
  expect(seen.size).toBe(64);
  expect(Math.max(...seen.values())).toBeLessThan(200);
});

test("only succeeded, failed and skipped node runs are results", () => {
  expect(nodeStates.filter(isResult)).toStrictEqual(["succeeded", "failed", "skipped"]);
});
