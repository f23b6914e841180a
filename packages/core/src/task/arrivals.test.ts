import { describe, expect, test } from "vitest";
import { acceptTask, type Submission } from "./accept.ts";
import type { Decision, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules } from "./rules.ts";
import { type Debt, maxInbox, maxWaits, type Spent, type Task, type WaitingFor } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

const t0 = 1_700_000_000_000;
const rules = defaultRules;
const submission: Submission = {
  id: "018bcfe5-6800-7000-8000-000000000001",
  project: "p1",
  workflow: "w",
  revision: 3,
  input: { kind: "inline", json: "{}" },
  text: "",
  labels: {},
  priority: 0,
  deadline: t0 + 3_600_000,
};

function accepted(decision: Decision): Extract<Decision, { ok: true }> {
  if (!decision.ok) throw new Error(`refused: ${decision.why}`);
  return decision;
}
function go(task: Task, event: TaskEvent, now = t0): Task {
  return accepted(transition(task, event, now, rules)).next;
}
const why = (task: Task, event: TaskEvent, now = t0): string => {
  const decision = transition(task, event, now, rules);
  return decision.ok ? "accepted" : decision.why;
};

type More = Pick<Extract<TaskEvent, { kind: "report" }>, "consumed" | "spent">;
/** The next report of the holder. */
const report = (task: Task, outcome: ReportOutcome, more: More = {}): TaskEvent => ({
  kind: "report",
  executor: "A",
  attempt: task.attempt,
  number: task.report + 1,
  results: 0,
  outcome,
  ...more,
});
const arrive = (node: string, once = true): TaskEvent => ({
  kind: "arrive",
  node,
  by: "me",
  payload: { kind: "inline", json: "1" },
  once,
});
const waitFor = (node: string, until?: number): WaitingFor => ({
  kind: until === undefined ? "signal" : "timer",
  node,
  since: t0,
  reason: `Node "${node}" waits.`,
  ...(until === undefined ? {} : { until }),
});
const waitOn = (waits: readonly WaitingFor[], seen = 0, waitCount = waits.length): ReportOutcome => ({
  kind: "wait",
  waits,
  waitCount,
  seen,
});
const progress: ReportOutcome = { kind: "progress" };
const success: ReportOutcome = { kind: "succeeded", output: { kind: "inline", json: "1" } };
const failure: ReportOutcome = { kind: "failed", error: { code: "node_failed", message: "No.", retryable: false } };
const claimed = (task: Task): Task => go(task, { kind: "claim", executor: "A", attempt: task.attempt });

const queued = acceptTask(submission, t0, true, rules);
const running = claimed(queued);
const waiting = go(running, report(running, waitOn([waitFor("ask")])));

describe("waiting", () => {
  test("a task lists what goes on soonest first, and wakes for it", () => {
    const waits = [waitFor("ask"), waitFor("late", t0 + 90), waitFor("soon", t0 + 30), waitFor("ask2")];
    const next = go(running, report(running, waitOn(waits)));
    expect(next).toMatchObject({ state: "waiting", waitCount: 4 });
    expect(next.state === "waiting" && next.waits.map(({ node }) => node)).toStrictEqual(["soon", "late", "ask", "ask2"]);
    expect(wakeAt(next)).toBe(t0 + 30);
  });
  test("of very many waiting nodes only the soonest are listed, and all are counted", () => {
    const waits = Array.from({ length: 150 }, (_, at) => waitFor(`n${at}`, t0 + 1_000 - at));
    const next = go(running, report(running, waitOn(waits, 0, 4_000)));
    expect(next).toMatchObject({ state: "waiting", waitCount: 4_000 });
    expect(next.state === "waiting" && next.waits.map(({ until }) => until)).toStrictEqual(
      Array.from({ length: maxWaits }, (_, at) => t0 + 1_000 - 149 + at),
    );
  });
  test("a count below what is listed is mended", () => {
    expect(go(running, report(running, waitOn([waitFor("a"), waitFor("b")], 0, 0)))).toMatchObject({ waitCount: 2 });
  });
  test("what is due by now is not slept over", () => {
    const { next, effects } = accepted(transition(running, report(running, waitOn([waitFor("a", t0)])), t0, rules));
    expect(next).toMatchObject({
      state: "queued",
      queueing: { kind: "backlog" },
      tries: 0,
      alone: false,
      version: running.version + 1,
    });
    expect(effects).toStrictEqual([{ kind: "refill", partition: running.partition }]);
    expect(go(running, report(running, waitOn([waitFor("a", t0 + 1)])))).toMatchObject({ state: "waiting" });
  });
  test("what arrived since the executor looked brings the task back at once, what it has seen does not", () => {
    const told = go(running, arrive("ask"));
    expect(go(told, report(told, waitOn([waitFor("ask")], 0)))).toMatchObject({ state: "queued", tries: 0 });
    expect(go(told, report(told, waitOn([waitFor("other")], 1)))).toMatchObject({ state: "waiting", inbox: [{ seq: 1 }] });
    expect(go(told, report(told, waitOn([waitFor("ask")], 0), { consumed: [1] }))).toMatchObject({ state: "waiting" });
  });
});

describe("arrivals", () => {
  test("what arrives for a waiting node is kept and brings the task back, its tries unused and its attempt as it was", () => {
    const { next, effects } = accepted(transition({ ...waiting, tries: 3, alone: true }, arrive("ask"), t0 + 5, rules));
    expect(next).toMatchObject({
      state: "queued",
      queueing: { kind: "backlog" },
      since: t0 + 5,
      tries: 0,
      alone: false,
      attempt: 1,
      version: waiting.version + 1,
      arrivals: 1,
      inbox: [{ seq: 1, node: "ask", at: t0 + 5, by: "me", payload: { kind: "inline", json: "1" } }],
    });
    expect(next).not.toHaveProperty("waits");
    expect(next).not.toHaveProperty("waitCount");
    expect(effects).toStrictEqual([{ kind: "refill", partition: waiting.partition }]);
  });
  test("what arrives for another node is kept while the task sleeps on", () => {
    const { next, effects } = accepted(transition(waiting, arrive("other"), t0 + 5, rules));
    expect(next).toStrictEqual({ ...waiting, version: waiting.version + 1, arrivals: 1, inbox: next.inbox });
    expect(next.inbox).toMatchObject([{ node: "other" }]);
    expect(effects).toStrictEqual([]);
  });
  test("when not every waiting node is listed, whatever arrives brings the task back", () => {
    const many = go(running, report(running, waitOn([waitFor("ask")], 0, 2)));
    expect(go(many, arrive("other"))).toMatchObject({ state: "queued" });
  });
  test("what arrives before the task runs, or while it does, is kept; a holder is told", () => {
    const early = accepted(transition(queued, arrive("ask"), t0, rules));
    expect(early.next).toMatchObject({ state: "queued", queueing: queued.queueing, version: 2, inbox: [{ seq: 1 }] });
    expect(early.effects).toStrictEqual([]);
    const { next, effects } = accepted(transition(running, arrive("ask"), t0, rules));
    expect(next).toMatchObject({ state: "running", executor: "A", leaseUntil: t0 + rules.leaseMs, inbox: [{ seq: 1 }] });
    expect(effects).toStrictEqual([{ kind: "arrival", executor: "A", taskId: running.id, attempt: 1 }]);
  });
  test("an error arrives as well as a value, and a value may be nothing", () => {
    const error = { code: "node_failed", message: "No.", retryable: false };
    const failed = go(running, { kind: "arrive", node: "child", by: "", error, once: true });
    expect(failed.inbox).toStrictEqual([{ seq: 1, node: "child", at: t0, by: "", error }]);
    const bare = go(running, { kind: "arrive", node: "ask", by: "", once: true });
    expect(bare.inbox).toStrictEqual([{ seq: 1, node: "ask", at: t0, by: "" }]);
  });
  test("a second one for the same node is refused until the first is consumed, unless it may come more than once", () => {
    const once = go(running, arrive("ask"));
    expect(why(once, arrive("ask"))).toBe("arrived");
    expect(why(once, arrive("other"))).toBe("accepted");
    expect(go(once, arrive("ask", false)).inbox).toMatchObject([{ seq: 1 }, { seq: 2 }]);
    const consumed = go(once, report(once, progress, { consumed: [1] }));
    expect(consumed).not.toHaveProperty("inbox");
    expect(go(consumed, arrive("ask")).inbox).toMatchObject([{ seq: 2 }]);
  });
  test("a full inbox refuses, and takes again once something is consumed", () => {
    let task = running;
    for (let at = 0; at < maxInbox; at++) task = go(task, arrive(`n${at}`));
    expect(why(task, arrive("one more"))).toBe("inbox-full");
    const read = go(task, report(task, progress, { consumed: [1, 50] }));
    expect(read.inbox).toHaveLength(maxInbox - 2);
    expect(why(read, arrive("one more"))).toBe("accepted");
  });
  test("an ended task takes nothing, and keeps nothing of what was not looked at", () => {
    const told = go(go(running, arrive("ask")), arrive("other"));
    for (const event of [report(told, success), report(told, failure), { kind: "cancel", reason: "" } as const]) {
      const ended = go(told, event);
      expect(ended).not.toHaveProperty("inbox");
      expect(ended).toMatchObject({ arrivals: 2 });
      expect(why(ended, arrive("ask"))).toBe("ended");
    }
  });
  test("a lost lease and a release keep what arrived, what was started and what was spent", () => {
    const told = go(go(running, arrive("ask")), { kind: "child", executor: "A", attempt: 1 });
    const spent = go(told, report(told, progress, { spent: { tokens: 1, calls: 1, nodeRuns: 1, runMs: 1 } }));
    const kept = { inbox: [{ seq: 1 }], arrivals: 1, children: true, spent: { tokens: 1 } };
    expect(go(spent, { kind: "release", executor: "A", attempt: 1 })).toMatchObject({ state: "queued", ...kept });
    expect(go(spent, { kind: "wake", room: true }, t0 + rules.leaseMs)).toMatchObject({ state: "queued", ...kept });
  });
  test("a report that names what is not there, or nothing, leaves the inbox as it is", () => {
    const told = go(running, arrive("ask"));
    expect(go(told, report(told, progress, { consumed: [7] })).inbox).toStrictEqual(told.inbox);
    expect(go(told, report(told, progress, { consumed: [] })).inbox).toStrictEqual(told.inbox);
    expect(go(running, report(running, progress, { consumed: [1] }))).not.toHaveProperty("inbox");
  });
});

describe("what is spent", () => {
  const some: Spent = { tokens: 100, calls: 2, nodeRuns: 3, runMs: 450 };
  test("reports add up over attempts, and a repeated one counts once", () => {
    const once = go(running, report(running, progress, { spent: some }));
    expect(once).toMatchObject({ spent: some });
    expect(why(once, { ...report(running, progress, { spent: some }) })).toBe("applied");
    const again = claimed(go(once, { kind: "release", executor: "A", attempt: 1 }));
    const ended = go(again, report(again, success, { spent: { tokens: 1, calls: 1, nodeRuns: 1, runMs: 50 } }));
    expect(ended).toMatchObject({ state: "succeeded", spent: { tokens: 101, calls: 3, nodeRuns: 4, runMs: 500 } });
  });
  test("a task that spends nothing carries no count", () => {
    expect(go(running, report(running, success))).not.toHaveProperty("spent");
  });
});

describe("parents and children", () => {
  const parent = { id: "018bcfe5-6800-7000-8000-000000000000", node: "call", awaited: true };
  const keys = (task: Task): readonly string[] => task.owes.map(({ key }) => key);
  const child: TaskEvent = { kind: "child", executor: "A", attempt: 1 };

  test("a task keeps whom it was started by and how deep it stands", () => {
    const task = acceptTask({ ...submission, parent, depth: 3 }, t0, true, rules);
    expect(go(claimed(task), { kind: "cancel", reason: "" })).toMatchObject({ parent, depth: 3 });
  });
  test("an awaited task owes its outcome to its parent, however it ends, and hands it over at once", () => {
    const task = claimed(acceptTask({ ...submission, parent, depth: 1 }, t0, true, rules));
    const debt: Debt = { kind: "parent", key: "parent", dueAt: t0 + rules.debtMs, failures: 0 };
    for (const event of [report(task, success), report(task, failure), { kind: "cancel", reason: "" } as const]) {
      const { next, effects } = accepted(transition(task, event, t0, rules));
      expect(next.owes).toStrictEqual([debt]);
      expect(next).not.toHaveProperty("delivery");
      expect(effects).toContainEqual({ kind: "hand-over", debt });
    }
  });
  test("a task that nobody waits for owes its parent nothing", () => {
    const task = claimed(acceptTask({ ...submission, parent: { ...parent, awaited: false }, depth: 1 }, t0, true, rules));
    expect(keys(go(task, report(task, success)))).toStrictEqual([]);
  });
  test("before the first child is started the task says so, once, and only by its holder", () => {
    const { next, effects } = accepted(transition(running, child, t0, rules));
    expect(next).toStrictEqual({ ...running, children: true });
    expect(effects).toStrictEqual([]);
    expect(why(next, child)).toBe("applied");
    expect(why(running, { ...child, attempt: 2 })).toBe("not-holder");
    expect(why(running, { ...child, executor: "B" })).toBe("not-holder");
    expect(why(go(running, { kind: "cancel", reason: "" }), child)).toBe("stopped");
  });
  test("a task that started others owes their end, unless it succeeded", () => {
    const task = go(running, child);
    expect(keys(go(task, report(task, failure)))).toStrictEqual(["children"]);
    expect(keys(go(task, { kind: "cancel", reason: "" }))).toStrictEqual(["children"]);
    expect(keys(go(task, { kind: "wake", room: true }, submission.deadline))).toStrictEqual(["children"]);
    expect(keys(go(task, report(task, success)))).toStrictEqual([]);
  });
  test("debts of every kind are settled and deferred each by its key, and looked at until they are", () => {
    const webhook = { url: "u", sealedSecrets: [], sealedHeaders: {}, events: ["task.cancelled"] } as const;
    const task = go(claimed(acceptTask({ ...submission, parent, webhook, depth: 1 }, t0, true, rules)), child);
    const ended = go(task, { kind: "cancel", reason: "" });
    expect(keys(ended)).toStrictEqual(["task.cancelled", "parent", "children"]);
    expect(ended).toMatchObject({ delivery: { state: "pending" } });
    const deferred = go(ended, { kind: "defer", key: "parent" });
    expect(deferred.owes.map(({ failures }) => failures)).toStrictEqual([0, 1, 0]);
    expect(keys(go(deferred, { kind: "settle", key: "children" }))).toStrictEqual(["task.cancelled", "parent"]);
    const delivered = go(ended, { kind: "delivery", event: "task.cancelled", state: "delivered", sequence: 1 });
    expect(keys(delivered)).toStrictEqual(["parent", "children"]);
    const looked = accepted(transition(delivered, { kind: "wake", room: true }, t0 + rules.debtMs, rules));
    expect(looked.effects).toStrictEqual(delivered.owes.map((debt) => ({ kind: "hand-over", debt })));
    const rest = go(go(looked.next, { kind: "settle", key: "parent" }), { kind: "settle", key: "children" });
    expect(wakeAt(rest)).toBeUndefined();
    expect(why(rest, { kind: "settle", key: "parent" })).toBe("nothing-due");
  });
});
