import { describe, expect, test } from "vitest";
import { acceptTask, type Submission } from "./accept.ts";
import type { Decision, Effect, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules as rules } from "./rules.ts";
import { freeSlots, holdsSlots, limited, mayFreeSlot } from "./slots.ts";
import type { Task } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

const t0 = 1_700_000_000_000;
const submission: Submission = {
  id: "018bcfe5-6800-7000-8000-000000000001",
  project: "p1",
  workflow: "w",
  revision: 1,
  input: { kind: "inline", json: "{}" },
  text: "",
  labels: {},
  priority: 0,
  deadline: t0 + 86_400_000,
  limitKeys: ["a", "b"],
};

function accepted(decision: Decision): Extract<Decision, { ok: true }> {
  if (!decision.ok) throw new Error(`refused: ${decision.why}`);
  return decision;
}
function go(task: Task, event: TaskEvent, now = t0): Task {
  return accepted(transition(task, event, now, rules)).next;
}
function effects(task: Task, event: TaskEvent, now = t0): readonly Effect[] {
  return accepted(transition(task, event, now, rules)).effects;
}
const grant = (hold: number, room = true): TaskEvent => ({ kind: "grant", hold, room });
const pass = (hold: number, key: string): TaskEvent => ({ kind: "pass", hold, key });
const report = (attempt: number, outcome: ReportOutcome): TaskEvent => {
  return { kind: "report", executor: "A", attempt, number: 1, results: 1, outcome };
};
const claim = (attempt: number): TaskEvent => ({ kind: "claim", executor: "A", attempt });
const wake = (room = true): TaskEvent => ({ kind: "wake", room });
const arrive: TaskEvent = { kind: "arrive", node: "n", by: "", payload: { kind: "inline", json: "1" }, once: true };
const cancel: TaskEvent = { kind: "cancel", reason: "" };
const success: ReportOutcome = { kind: "succeeded", output: { kind: "inline", json: "1" } };
const sleep: ReportOutcome = {
  kind: "wait",
  waits: [{ kind: "timer", node: "n", since: t0, until: t0 + 60_000, reason: "It waits." }],
  waitCount: 1,
  seen: 0,
};
const debt = (hold: number, dueAt = t0 + rules.debtMs) =>
  ({ kind: "slots", key: `slots.${hold}`, hold, dueAt, failures: 0 }) as const;

const fresh = acceptTask(submission, t0, true, rules);
const ticketed = go(fresh, grant(1));
const running = go(ticketed, claim(0));
const waiting = go(running, report(1, sleep));

describe("a task with limits", () => {
  test("waits for a slot before its first ticket, and says for which", () => {
    expect(fresh).toMatchObject({ queueing: { kind: "limited", key: "a", until: t0 + rules.slotMs, looks: 0 }, hold: 1 });
    expect(wakeAt(fresh)).toBe(t0 + rules.slotMs);
    expect(holdsSlots(fresh)).toBe(false);
    expect(transition(fresh, claim(0), t0, rules)).toEqual({ ok: false, why: "stale-ticket" });
    expect(transition(fresh, { kind: "ticket" }, t0, rules)).toEqual({ ok: false, why: "nothing-due" });
  });

  test("that starts later waits for a slot only then", () => {
    const delayed = acceptTask({ ...submission, notBefore: t0 + 10 }, t0, false, rules);
    expect(delayed.queueing.kind).toBe("delayed");
    expect(delayed).not.toHaveProperty("hold");
    const next = go(delayed, wake(), t0 + 10);
    expect(next).toMatchObject({ queueing: { kind: "limited", key: "a" }, hold: 1, owes: [] });
    expect(effects(delayed, wake(), t0 + 10)).toEqual([]);
    expect(effects(delayed, wake(false), t0 + 10)).toEqual([]);
  });

  test("gets its ticket with its slots, or a place in the backlog behind them", () => {
    expect(effects(fresh, grant(1))).toEqual([expect.objectContaining({ kind: "ticket", attempt: 0 })]);
    expect(ticketed).toMatchObject({ version: 2, queueing: { kind: "ticketed" }, since: t0 });
    const backlog = go(fresh, grant(1, false));
    expect([ticketed, backlog, running].map(holdsSlots)).toEqual([true, true, true]);
    expect(go(backlog, { kind: "ticket" })).toMatchObject({ queueing: { kind: "ticketed" }, hold: 1 });
  });

  test("is granted once, and only for the wait that the slots were taken for", () => {
    expect(transition(ticketed, grant(1), t0, rules)).toEqual({ ok: false, why: "nothing-due" });
    expect(transition(fresh, grant(2), t0, rules)).toEqual({ ok: false, why: "nothing-due" });
    expect(transition(go(fresh, cancel), grant(1), t0, rules)).toEqual({ ok: false, why: "ended" });
  });

  test("passes to another limit under another number, so that what was taken can be freed", () => {
    const passed = go(fresh, pass(1, "b"));
    expect(passed).toMatchObject({ version: 2, hold: 2, queueing: { kind: "limited", key: "b", looks: 0 } });
    expect([mayFreeSlot(fresh, 1), mayFreeSlot(passed, 1), mayFreeSlot(passed, 2)]).toEqual([false, true, false]);
    expect(transition(passed, grant(1), t0, rules)).toEqual({ ok: false, why: "nothing-due" });
    expect(transition(passed, pass(1, "a"), t0, rules)).toEqual({ ok: false, why: "nothing-due" });
    expect(transition(ticketed, pass(1, "a"), t0, rules)).toEqual({ ok: false, why: "nothing-due" });
    expect(transition(go(fresh, cancel), pass(1, "a"), t0, rules)).toEqual({ ok: false, why: "ended" });
  });

  test("is looked at again while it waits, ever more seldom", () => {
    const at = t0 + rules.slotMs;
    expect(effects(fresh, wake(), at)).toEqual([{ kind: "look", project: "p1", key: "a" }]);
    expect(go(fresh, wake(), at)).toMatchObject({ version: 1, hold: 1, queueing: { looks: 1, until: at + 2 * rules.slotMs } });
    expect(limited(["a"], t0, 30, rules).until).toBe(t0 + rules.slotMaxMs);
    expect(limited([], t0, 0, rules).key).toBe("");
  });

  test("is timed out and cancelled while it waits for a slot, and owes none", () => {
    expect(go(fresh, wake(), submission.deadline)).toMatchObject({ state: "timed_out", owes: [] });
    expect(go(fresh, cancel)).toMatchObject({ state: "cancelled", owes: [] });
  });
});

describe("slots are owed from the write that ends the hold", () => {
  const ways: readonly (readonly [string, TaskEvent, string])[] = [
    ["its end", report(1, success), "succeeded"],
    ["cancel", cancel, "cancelled"],
    ["a wait", report(1, sleep), "waiting"],
    ["a pause before the next try", report(1, { kind: "backoff", delayMs: 9, node: "n" }), "queued"],
  ];
  test.each(ways)("%s", (_, event, state) => {
    const next = go(running, event);
    expect(next).toMatchObject({ state, owes: [debt(1)], hold: 1 });
    expect(effects(running, event)).toContainEqual({ kind: "hand-over", debt: debt(1) });
    expect([holdsSlots(next), mayFreeSlot(next, 1)]).toEqual([false, true]);
    expect(go(next, { kind: "settle", key: "slots.1" }).owes).toEqual([]);
  });

  test("a lost lease and a hand-back keep them: the next attempt goes on in their place", () => {
    const lost = go(running, wake(), t0 + rules.leaseMs);
    expect(lost).toMatchObject({ state: "queued", queueing: { kind: "ticketed" }, owes: [], hold: 1 });
    const handedBack = go(running, { kind: "release", executor: "A", attempt: 1 });
    expect(handedBack).toMatchObject({ queueing: { kind: "backlog" }, owes: [], hold: 1 });
    expect([lost, handedBack].map((task) => [holdsSlots(task), mayFreeSlot(task, 1)])).toEqual([
      [true, false],
      [true, false],
    ]);
  });

  test("a pause after another lost lease gives them back", () => {
    const again = go(go(running, wake(), t0 + rules.leaseMs), claim(1), t0 + rules.leaseMs);
    const paused = go(again, wake(), t0 + 2 * rules.leaseMs);
    expect(paused).toMatchObject({ queueing: { kind: "delayed" }, owes: [debt(1, t0 + 2 * rules.leaseMs + rules.debtMs)] });
  });

  test("news before the sleep keeps them, news after it waits for them anew, under another number", () => {
    expect(go(go(running, arrive), report(1, sleep))).toMatchObject({ queueing: { kind: "backlog" }, owes: [], hold: 1 });
    const back = go(waiting, arrive);
    expect(back).toMatchObject({ queueing: { kind: "limited", key: "a" }, hold: 2, owes: [debt(1)] });
    expect(effects(waiting, arrive)).toEqual([]);
    expect([mayFreeSlot(back, 1), mayFreeSlot(back, 2), mayFreeSlot(back, 3)]).toEqual([true, false, false]);
  });

  test("an unpaid debt of an earlier hold goes into that of the later one", () => {
    const again = go(go(go(waiting, arrive), grant(2)), claim(1));
    expect(again.owes).toEqual([debt(1)]);
    expect(go(again, { ...cancel }).owes).toEqual([debt(2)]);
  });

  test("whoever ends without holding any still owes what it owed, beside what the ending owes", () => {
    const parent = { id: "018bcfe5-6800-7000-8000-000000000002", node: "n", awaited: true };
    const ended = go({ ...waiting, parent }, cancel);
    expect(ended.owes.map(({ key }) => key)).toEqual(["parent", "slots.1"]);
    expect(go(go(waiting, { kind: "settle", key: "slots.1" }), cancel).owes).toEqual([]);
    // What is settled later changes nothing of that.
    expect(go(ended, { kind: "settle", key: "parent" }).owes.map(({ key }) => key)).toEqual(["slots.1"]);
  });

  test("a debt of a live task is due in its time, and put off after each look", () => {
    const at = t0 + rules.debtMs;
    expect(wakeAt(waiting)).toBe(at);
    const looked = go(waiting, wake(), at);
    expect(looked).toMatchObject({ state: "waiting", owes: [{ key: "slots.1", failures: 1 }] });
    expect(effects(waiting, wake(), at)).toEqual([{ kind: "hand-over", debt: debt(1) }]);
    expect(wakeAt(looked)).toBeGreaterThan(at);
    expect(go(waiting, wake(), submission.deadline).state).toBe("timed_out");
    expect(go(waiting, { kind: "defer", key: "slots.1" })).toMatchObject({ state: "waiting", owes: [{ failures: 1 }] });
    expect(wakeAt(go(waiting, { kind: "settle", key: "slots.1" }))).toBe(t0 + 60_000);
  });
});

test("a task without limits holds no slots, and whoever is gone holds none either", () => {
  const { limitKeys: _, ...plain } = submission;
  const task = acceptTask(plain, t0, true, rules);
  expect([holdsSlots(task), holdsSlots(go(task, claim(0)))]).toEqual([false, false]);
  expect(mayFreeSlot(undefined, 1)).toBe(true);
  expect(mayFreeSlot(task, 0)).toBe(true);
});

test("a limit that was lowered below what is taken has no slot to give", () => {
  expect([freeSlots(3, 1), freeSlots(3, 3), freeSlots(2, 3)]).toEqual([2, 0, 0]);
});
