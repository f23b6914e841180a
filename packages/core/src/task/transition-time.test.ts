import { describe, expect, test } from "vitest";
import { acceptTask, type Submission } from "./accept.ts";
import type { Decision, Effect, Refusal, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules, type Rules } from "./rules.ts";
import type { DebtKey, RunningTask, Task, WebhookEvent } from "./task.ts";
import { transition } from "./transition.ts";

const t0 = 1_700_000_000_000;
const hourMs = 3_600_000;
const rules = defaultRules;
const allEvents: readonly WebhookEvent[] = ["task.succeeded", "task.failed", "task.cancelled", "task.timed_out"];

const submission: Submission = {
  id: "018bcfe5-6800-7000-8000-000000000001",
  project: "p1",
  workflow: "w",
  revision: 3,
  input: { kind: "inline", json: "{}" },
  text: "",
  labels: { team: "a" },
  priority: 7,
  deadline: t0 + hourMs,
  webhook: { url: "https://example.com/hook", sealedSecrets: ["s"], sealedHeaders: {}, events: allEvents },
  bodyHash: "h",
  retryOf: "018bcfe5-6800-7000-8000-000000000000",
};
const { webhook: _, ...quiet } = submission;

/** Applies an event that must be accepted. */
function go(task: Task, event: TaskEvent, now: number, by: Rules = rules): Task {
  return accepted(transition(task, event, now, by)).next;
}
function accepted(decision: Decision): Extract<Decision, { ok: true }> {
  if (!decision.ok) throw new Error(`refused: ${decision.why}`);
  return decision;
}
function runningOf(task: Task): RunningTask {
  if (task.state !== "running") throw new Error(`it is ${task.state}`);
  return task;
}
function why(decision: Decision): Refusal | "accepted" {
  return decision.ok ? "accepted" : decision.why;
}
function effectsOf(task: Task, event: TaskEvent, now: number, by: Rules = rules): readonly Effect[] {
  return accepted(transition(task, event, now, by)).effects;
}

const claim = (attempt: number, executor = "A"): TaskEvent => ({ kind: "claim", executor, attempt });
const report = (attempt: number, number: number, outcome: ReportOutcome, results = 1, executor = "A"): TaskEvent => ({
  kind: "report",
  executor,
  attempt,
  number,
  results,
  outcome,
});
const cancel: TaskEvent = { kind: "cancel", reason: "" };
const wake: TaskEvent = { kind: "wake", room: true };
const wakeFull: TaskEvent = { kind: "wake", room: false };
const settle = (key: DebtKey): TaskEvent => ({ kind: "settle", key });
const defer = (key: DebtKey): TaskEvent => ({ kind: "defer", key });
const delivery = (event: WebhookEvent, sequence = 1, state: "pending" | "delivered" = "delivered"): TaskEvent => ({
  kind: "delivery",
  event,
  state,
  sequence,
});
const success: ReportOutcome = { kind: "succeeded", output: { kind: "inline", json: "1" } };
const timer: ReportOutcome = {
  kind: "wait",
  waits: [{ kind: "timer", node: "pause", since: t0, until: t0 + 60_000, reason: 'Node "pause" waits.' }],
  waitCount: 1,
  seen: 0,
};
const signal: ReportOutcome = {
  kind: "wait",
  waits: [{ kind: "signal", node: "ask", since: t0, reason: 'Node "ask" waits.' }],
  waitCount: 1,
  seen: 0,
};

const backlog = acceptTask(submission, t0, false, rules);
const ticketed = acceptTask(submission, t0, true, rules);
const delayed = acceptTask({ ...submission, notBefore: t0 + 10_000 }, t0, true, rules);
const running = runningOf(go(ticketed, claim(0), t0));
const waiting = go(running, report(1, 1, timer), t0);
const succeeded = go(running, report(1, 1, success), t0);
const settled = go(succeeded, settle("task.succeeded"), t0);

describe("what time brings", () => {
  test("nothing is due one millisecond before its time", () => {
    expect(why(transition(delayed, wake, t0 + 9_999, rules))).toBe("nothing-due");
    expect(why(transition(running, wake, t0 + rules.leaseMs - 1, rules))).toBe("nothing-due");
    expect(why(transition(waiting, wake, t0 + 59_999, rules))).toBe("nothing-due");
  });
  test("a delayed start gets its ticket when there is room, else a place in the backlog", () => {
    const withRoom = accepted(transition(delayed, wake, t0 + 10_000, rules));
    expect(withRoom.next).toMatchObject({ queueing: { kind: "ticketed", looks: 0 }, version: 2, since: t0 });
    expect(withRoom.effects).toMatchObject([{ kind: "ticket", attempt: 0 }]);
    const without = accepted(transition(delayed, wakeFull, t0 + 10_000, rules));
    expect(without.next).toMatchObject({ queueing: { kind: "backlog" }, version: 2, since: t0 });
    expect(without.effects).toStrictEqual([{ kind: "refill", partition: delayed.partition }]);
  });
  test("a timer that ran out brings the task back with its tries unused", () => {
    const back = go({ ...waiting, tries: 3, alone: true }, wake, t0 + 60_000);
    expect(back).toMatchObject({ state: "queued", tries: 0, alone: false, since: t0 + 60_000, attempt: 1 });
    expect(back).not.toHaveProperty("waits");
    expect(back).not.toHaveProperty("waitCount");
  });
  test("an unclaimed ticket goes out again with doubling pauses up to the longest", () => {
    let task: Task = ticketed;
    let now = t0 + rules.ticketMs;
    for (const pauseMs of [10_000, 20_000, 40_000, 60_000, 60_000]) {
      expect(effectsOf(task, wakeFull, now)).toMatchObject([{ kind: "ticket", attempt: 0, alone: false }]);
      task = go(task, wakeFull, now);
      expect(task).toMatchObject({ version: 1, queueing: { kind: "ticketed", until: now + pauseMs } });
      now += pauseMs;
    }
    const old: Task = { ...ticketed, queueing: { kind: "ticketed", until: t0, looks: 5_000 } };
    expect(go(old, wake, t0)).toMatchObject({ queueing: { until: t0 + rules.ticketMaxMs } });
  });
  test.each([
    ["delayed", delayed],
    ["backlog", backlog],
    ["ticketed", ticketed],
    ["running", running],
    ["waiting for a timer", waiting],
    ["waiting for a signal", go(running, report(1, 1, signal), t0)],
  ])("a task that is %s times out at its deadline", (_name, task) => {
    const decision = accepted(transition(task, wake, t0 + hourMs, rules));
    expect(decision.next).toMatchObject({ state: "timed_out", endTime: t0 + hourMs, error: { code: "deadline_exceeded" } });
    const kinds = decision.effects.map((effect) => effect.kind);
    expect(kinds).toStrictEqual(task.state === "running" ? ["hand-over", "revoke"] : ["hand-over"]);
  });
  test("the first lost lease brings the task back at once, alone, and tells the old holder to stop", () => {
    const now = t0 + rules.leaseMs;
    const withRoom = accepted(transition(running, wake, now, rules));
    expect(withRoom.next).toMatchObject({
      state: "queued",
      alone: true,
      tries: 1,
      attempt: 1,
      since: now,
      queueing: { kind: "ticketed" },
    });
    expect(withRoom.effects).toMatchObject([
      { kind: "ticket", attempt: 1, alone: true },
      { kind: "revoke", executor: "A", attempt: 1 },
    ]);
    const without = accepted(transition(running, wakeFull, now, rules));
    expect(without.next).toMatchObject({ alone: true, queueing: { kind: "backlog" } });
    expect(without.effects.map((effect) => effect.kind)).toStrictEqual(["refill", "revoke"]);
  });
  test("a holder known to be dead loses the task before its lease ends, and that costs the same as a lost lease", () => {
    for (const room of [true, false]) {
      const early = accepted(transition(running, { kind: "orphan", room }, t0 + 5, rules));
      const lapsed = { ...running, leaseUntil: t0 + 5 };
      expect(early).toStrictEqual(accepted(transition(lapsed, { kind: "wake", room }, t0 + 5, rules)));
    }
    const last = { ...running, tries: rules.maxTries };
    expect(go(last, { kind: "orphan", room: true }, t0)).toMatchObject({ state: "failed", error: { code: "tries_exhausted" } });
  });
  test.each([
    [2, 1_000],
    [3, 2_000],
    [4, 4_000],
  ])("after %d lost leases in a row the task pauses for %d ms", (tries, pauseMs) => {
    const now = t0 + rules.leaseMs;
    const { next, effects } = accepted(transition({ ...running, tries }, wake, now, rules));
    expect(next).toMatchObject({ alone: true, queueing: { kind: "delayed", why: "retry", until: now + pauseMs } });
    expect(effects.map((effect) => effect.kind)).toStrictEqual(["revoke"]);
  });
  test("a rule for lost leases that knows no more pause brings the task back at once", () => {
    const brief: Rules = { ...rules, lost: { ...rules.lost, attempts: 1 } };
    expect(go({ ...running, tries: 2 }, wake, t0 + rules.leaseMs, brief)).toMatchObject({ queueing: { kind: "ticketed" } });
  });
  test("a poison task ends after its bounded tries", () => {
    let task: Task = ticketed;
    let now = t0;
    for (let tries = 1; tries < rules.maxTries; tries++) {
      task = go(task, claim(task.attempt), now);
      now += rules.leaseMs;
      task = go(task, wake, now);
      if (task.state === "queued" && task.queueing.kind === "delayed") {
        now = task.queueing.until;
        task = go(task, wake, now);
      }
      expect(task).toMatchObject({ state: "queued", tries });
    }
    const last = accepted(transition(go(task, claim(task.attempt), now), wake, now + rules.leaseMs, rules));
    expect(last.next).toMatchObject({
      state: "failed",
      error: { code: "tries_exhausted", retryable: true },
      attempt: rules.maxTries,
    });
    expect(last.effects.map((effect) => effect.kind)).toStrictEqual(["hand-over", "revoke"]);
  });
});

describe("debts", () => {
  test("a due debt is handed over again and looked at later, without changing what a reader sees", () => {
    const now = t0 + rules.debtMs;
    const { next, effects } = accepted(transition(succeeded, wake, now, rules));
    expect(effects).toStrictEqual([{ kind: "hand-over", debt: succeeded.owes[0] }]);
    expect(next).toMatchObject({ version: succeeded.version, owes: [{ event: "task.succeeded", failures: 1 }] });
    expect(why(transition(next, wake, now, rules))).toBe("nothing-due");
  });
  test("of several debts only those that are due are looked at", () => {
    const later = { kind: "webhook", key: "task.failed", event: "task.failed", dueAt: t0 + 99_000, failures: 2 } as const;
    const { next, effects } = accepted(
      transition({ ...succeeded, owes: [...succeeded.owes, later] }, wake, t0 + rules.debtMs, rules),
    );
    expect(effects).toHaveLength(1);
    expect(next.owes[1]).toStrictEqual(later);
    expect(go(next, defer("task.failed"), t0 + rules.debtMs).owes[0]).toStrictEqual(next.owes[0]);
  });
  test("a rule for debts that knows no more pause goes on at its longest", () => {
    const brief: Rules = { ...rules, debt: { ...rules.debt, attempts: 1 } };
    expect(go(succeeded, defer("task.succeeded"), t0, brief).owes).toMatchObject([{ dueAt: t0 + rules.debt.maxMs, failures: 1 }]);
  });
  test("a debt of another event can be neither settled nor deferred", () => {
    expect(why(transition(succeeded, settle("task.failed"), t0, rules))).toBe("nothing-due");
    expect(why(transition(succeeded, defer("task.failed"), t0, rules))).toBe("nothing-due");
  });
  test("settling keeps the ending and the delivery as they are", () => {
    expect(settled).toStrictEqual({ ...succeeded, owes: [] });
  });
  test("a delivery's report settles the debt, and only a change of its state is a new version", () => {
    const same = go(succeeded, delivery("task.succeeded", 1, "pending"), t0);
    expect(same).toMatchObject({ owes: [], version: succeeded.version, delivery: { state: "pending", sequence: 1 } });
    const changed = go(same, delivery("task.succeeded", 4), t0);
    expect(changed).toMatchObject({ version: succeeded.version + 1, delivery: { state: "delivered", sequence: 4 } });
    expect(why(transition(changed, delivery("task.succeeded", 4, "pending"), t0, rules))).toBe("applied");
    expect(why(transition(changed, delivery("task.succeeded", 3, "pending"), t0, rules))).toBe("applied");
    expect(go(changed, delivery("task.succeeded", 5, "pending"), t0)).toMatchObject({
      delivery: { state: "pending", sequence: 5 },
    });
  });
  test("a delivery of an ending that the task did not have, or that nobody asked for, is refused", () => {
    expect(why(transition(succeeded, delivery("task.failed"), t0, rules))).toBe("nothing-due");
    const silent = go(acceptTask(quiet, t0, true, rules), cancel, t0);
    expect(why(transition(silent, delivery("task.cancelled"), t0, rules))).toBe("nothing-due");
  });
});
