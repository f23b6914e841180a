import { describe, expect, test } from "vitest";
import { acceptTask, type Submission } from "./accept.ts";
import type { Decision, Effect, Refusal, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules, type Rules } from "./rules.ts";
import { type DebtKey, isEnded, type RunningTask, type Task, type TaskStateName, type WebhookEvent } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

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
const heartbeat = (attempt: number, executor = "A"): TaskEvent => ({ kind: "heartbeat", executor, attempt });
const release = (attempt: number, executor = "A"): TaskEvent => ({ kind: "release", executor, attempt });
const cancel: TaskEvent = { kind: "cancel", reason: "" };
const wake: TaskEvent = { kind: "wake", room: true };
const settle = (key: DebtKey): TaskEvent => ({ kind: "settle", key });
const defer = (key: DebtKey): TaskEvent => ({ kind: "defer", key });
const delivery = (event: WebhookEvent, sequence = 1, state: "pending" | "delivered" = "delivered"): TaskEvent => ({
  kind: "delivery",
  event,
  state,
  sequence,
});
const progress: ReportOutcome = { kind: "progress" };
const success: ReportOutcome = { kind: "succeeded", output: { kind: "inline", json: "1" } };
const failure: ReportOutcome = { kind: "failed", error: { code: "node_failed", message: "No.", retryable: false } };
const backoff: ReportOutcome = { kind: "backoff", delayMs: 20_000, node: "page" };
const timer: ReportOutcome = {
  kind: "wait",
  waits: [{ kind: "timer", node: "pause", since: t0, until: t0 + 60_000, reason: 'Node "pause" waits.' }],
  waitCount: 1,
  seen: 0,
};

const backlog = acceptTask(submission, t0, false, rules);
const ticketed = acceptTask(submission, t0, true, rules);
const delayed = acceptTask({ ...submission, notBefore: t0 + 10_000 }, t0, true, rules);
const limitedTask = acceptTask({ ...submission, limitKeys: ["k"] }, t0, true, rules);
const running = runningOf(go(ticketed, claim(0), t0));
const waiting = go(running, report(1, 1, timer), t0);
const succeeded = go(running, report(1, 1, success), t0);
const failed = go(running, report(1, 1, failure), t0);
const cancelled = go(running, cancel, t0);
const timedOut = go(running, wake, t0 + hourMs);
const settled = go(succeeded, settle("task.succeeded"), t0);

describe("every event in every state, when nothing is due", () => {
  type Row = Readonly<Record<TaskEvent["kind"], TaskStateName | Refusal>>;
  const unowed = { settle: "nothing-due", defer: "nothing-due", delivery: "nothing-due" } as const;
  const ungranted = { grant: "nothing-due", pass: "nothing-due" } as const;
  const live = { ...unowed, ...ungranted, child: "not-holder", cancel: "cancelled", wake: "nothing-due" } as const;
  const unheld = { orphan: "nothing-due", report: "not-holder", heartbeat: "not-holder", release: "not-holder" } as const;
  const ended = {
    ticket: "ended",
    claim: "stale-ticket",
    cancel: "ended",
    wake: "nothing-due",
    orphan: "nothing-due",
    arrive: "ended",
    grant: "ended",
    pass: "ended",
  } as const;
  const over = { report: "ended", heartbeat: "ended", release: "ended", child: "ended" } as const;
  const stopped = { report: "stopped", heartbeat: "stopped", release: "stopped", child: "stopped" } as const;
  const table: readonly (readonly [string, Task, Row])[] = [
    ["a delayed task", delayed, { ...live, ...unheld, arrive: "queued", ticket: "nothing-due", claim: "stale-ticket" }],
    ["a task in the backlog", backlog, { ...live, ...unheld, arrive: "queued", ticket: "queued", claim: "running" }],
    ["a ticketed task", ticketed, { ...live, ...unheld, arrive: "queued", ticket: "nothing-due", claim: "running" }],
    [
      "a task that waits for a slot",
      limitedTask,
      {
        ...live,
        ...unheld,
        arrive: "queued",
        ticket: "nothing-due",
        claim: "stale-ticket",
        grant: "queued",
        pass: "queued",
      },
    ],
    [
      "a running task",
      running,
      {
        ...live,
        ticket: "nothing-due",
        claim: "stale-ticket",
        report: "running",
        heartbeat: "running",
        release: "queued",
        orphan: "queued",
        arrive: "running",
        child: "running",
      },
    ],
    ["a waiting task", waiting, { ...live, ...unheld, arrive: "queued", ticket: "nothing-due", claim: "stale-ticket" }],
    [
      "a succeeded task that owes",
      succeeded,
      { ...ended, ...over, settle: "succeeded", defer: "succeeded", delivery: "succeeded" },
    ],
    ["a failed task that owes", failed, { ...ended, ...over, settle: "failed", defer: "failed", delivery: "failed" }],
    [
      "a cancelled task that owes",
      cancelled,
      { ...ended, ...stopped, settle: "cancelled", defer: "cancelled", delivery: "cancelled" },
    ],
    [
      "a timed out task that owes",
      timedOut,
      { ...ended, ...stopped, settle: "timed_out", defer: "timed_out", delivery: "timed_out" },
    ],
    [
      "an ended task that owes nothing more",
      settled,
      { ...ended, ...over, settle: "nothing-due", defer: "nothing-due", delivery: "succeeded" },
    ],
  ];
  for (const [name, task, row] of table) {
    const ownEvent: WebhookEvent = isEnded(task) ? `task.${task.state}` : "task.succeeded";
    const events: Readonly<Record<TaskEvent["kind"], TaskEvent>> = {
      ticket: { kind: "ticket" },
      grant: { kind: "grant", hold: 1, room: true },
      pass: { kind: "pass", hold: 1, key: "k" },
      claim: claim(task.attempt),
      report: report(task.attempt, task.report + 1, progress),
      heartbeat: heartbeat(task.attempt),
      release: release(task.attempt),
      cancel,
      wake,
      orphan: { kind: "orphan", room: true },
      arrive: { kind: "arrive", node: "pause", by: "", payload: { kind: "inline", json: "1" }, once: true },
      child: { kind: "child", executor: "A", attempt: task.attempt },
      settle: settle(ownEvent),
      defer: defer(ownEvent),
      delivery: delivery(ownEvent),
    };
    const now = isEnded(task) ? task.endTime + 1 : t0 + 1;
    for (const event of Object.values(events)) {
      test(`${name}, ${event.kind}: ${row[event.kind]}`, () => {
        const decision = transition(task, event, now, rules);
        expect(decision.ok ? decision.next.state : decision.why).toBe(row[event.kind]);
      });
    }
  }
});

describe("tickets and claims", () => {
  test("a backlog task gets a ticket of its attempt and a first look behind it", () => {
    const { next, effects } = accepted(transition(backlog, { kind: "ticket" }, t0 + 5, rules));
    expect(next).toStrictEqual({
      ...backlog,
      version: 2,
      queueing: { kind: "ticketed", until: t0 + 5 + rules.ticketMs, looks: 0 },
    });
    expect(effects).toStrictEqual([{ kind: "ticket", project: "p1", taskId: submission.id, attempt: 0, alone: false }]);
  });
  test("a claim raises attempt and tries in the same write, starts the lease, and says nothing to anybody", () => {
    const { next, effects } = accepted(transition(ticketed, claim(0, "B"), t0 + 9, rules));
    expect(next).toMatchObject({
      state: "running",
      executor: "B",
      attempt: 1,
      tries: 1,
      report: 0,
      version: 2,
      startTime: t0 + 9,
    });
    expect(next).toMatchObject({ leaseUntil: t0 + 9 + rules.leaseMs });
    expect(next).not.toHaveProperty("queueing");
    expect(effects).toStrictEqual([]);
  });
  test("the start time is that of the first claim", () => {
    const again = go(go(running, release(1), t0 + 50), claim(1, "B"), t0 + 60);
    expect(again).toMatchObject({ attempt: 2, startTime: t0 });
  });
  test("every attempt counts its reports from the start", () => {
    const reported = go(go(running, report(1, 1, progress), t0 + 50), report(1, 2, progress), t0 + 50);
    expect(reported).toMatchObject({ report: 2 });
    expect(go(go(reported, release(1), t0 + 51), claim(1, "B"), t0 + 60)).toMatchObject({ attempt: 2, report: 0 });
  });
  test("a report that skips a number is refused, because the one between would be lost", () => {
    expect(transition(running, report(1, 2, progress), t0 + 50, rules)).toStrictEqual({ ok: false, why: "not-holder" });
  });
  test("a queued task whose tries a lowered bound exhausts ends at its next look", () => {
    const queued = go(running, release(1), t0 + 50);
    const ticketed = { ...go(queued, { kind: "ticket" }, t0 + 51), tries: 2 };
    const lowered = { ...rules, maxTries: 2 };
    expect(transition(ticketed, claim(1), t0 + 52, lowered)).toStrictEqual({ ok: false, why: "stale-ticket" });
    const look = wakeAt(ticketed) ?? Number.NaN;
    expect(go(ticketed, { kind: "wake", room: true }, look, lowered)).toMatchObject({
      state: "failed",
      error: { code: "tries_exhausted" },
    });
  });
  test("a claim whose answer was lost is answered again to the same executor and costs no try", () => {
    const again = go(running, claim(0), t0 + 100);
    expect(again).toStrictEqual({ ...running, leaseUntil: t0 + 100 + rules.leaseMs });
  });
  test("a second executor with the same ticket is refused", () => {
    expect(why(transition(running, claim(0, "B"), t0 + 1, rules))).toBe("stale-ticket");
  });
  test("an old ticket that comes back after the first report is refused, even to its holder", () => {
    const reported = go(running, report(1, 1, progress), t0 + 1);
    expect(why(transition(reported, claim(0), t0 + 2, rules))).toBe("stale-ticket");
  });
  test.each([-1, 1, 2, Number.NaN])("a ticket of attempt %d can't claim attempt 0", (attempt) => {
    expect(why(transition(ticketed, claim(attempt), t0 + 1, rules))).toBe("stale-ticket");
  });
  test("nothing is claimed at or after its deadline", () => {
    expect(why(transition(ticketed, claim(0), t0 + hourMs - 1, rules))).toBe("accepted");
    expect(why(transition(ticketed, claim(0), t0 + hourMs, rules))).toBe("stale-ticket");
  });
  test("a task that has used up its tries can't be claimed", () => {
    expect(why(transition({ ...ticketed, tries: rules.maxTries }, claim(0), t0, rules))).toBe("stale-ticket");
  });
});

describe("reports", () => {
  test.each([
    ["an earlier attempt", report(0, 2, success)],
    ["a later attempt", report(2, 2, success)],
    ["another executor", report(1, 2, success, 1, "B")],
  ])("a report of %s is refused", (_name, event) => {
    expect(why(transition(running, event, t0 + 1, rules))).toBe("not-holder");
  });
  test("a report of an attempt that lost its lease is refused, also before somebody else has claimed", () => {
    const lost = go(running, wake, t0 + rules.leaseMs);
    expect(why(transition(lost, report(1, 1, success), t0 + rules.leaseMs + 1, rules))).toBe("not-holder");
    const taken = go(lost, claim(1, "B"), t0 + rules.leaseMs + 1);
    expect(why(transition(taken, report(1, 1, success), t0 + rules.leaseMs + 2, rules))).toBe("not-holder");
  });
  test.each([
    ["progress", progress],
    ["success", success],
    ["failure", failure],
    ["backoff", backoff],
    ["wait", timer],
  ])("a repeated report of %s is answered as applied, whatever the task has become", (_name, outcome) => {
    const once = go(running, report(1, 1, outcome), t0 + 1);
    expect(why(transition(once, report(1, 1, outcome), t0 + 2, rules))).toBe("applied");
    expect(why(transition(once, report(1, 0, outcome), t0 + 2, rules))).toBe("applied");
  });
  test("a report of progress keeps the task running, extends its lease and does not change what a reader sees", () => {
    const next = go({ ...running, tries: 3, alone: true }, report(1, 1, progress, 0), t0 + 7);
    expect(next).toStrictEqual({ ...running, tries: 3, alone: true, report: 1, leaseUntil: t0 + 7 + rules.leaseMs });
  });
  test("a stored node result makes the tries start over and lets the task have company again", () => {
    expect(go({ ...running, tries: 3, alone: true }, report(1, 1, progress, 1), t0)).toMatchObject({ tries: 0, alone: false });
  });
  test("a report of success ends the task with its output and hands its webhook over", () => {
    const { next, effects } = accepted(transition(running, report(1, 1, success), t0 + 3, rules));
    const debt = { kind: "webhook", key: "task.succeeded", event: "task.succeeded", dueAt: t0 + 3 + rules.debtMs, failures: 0 };
    expect(next).toMatchObject({
      state: "succeeded",
      output: { kind: "inline", json: "1" },
      endTime: t0 + 3,
      owes: [debt],
      version: 3,
    });
    expect(next).toMatchObject({ delivery: { state: "pending", sequence: 0 } });
    expect(next).not.toHaveProperty("leaseUntil");
    expect(effects).toStrictEqual([{ kind: "hand-over", debt }]);
  });
  test("a report of failure ends the task with its error", () => {
    expect(failed).toMatchObject({ state: "failed", error: { code: "node_failed" }, owes: [{ event: "task.failed" }] });
    expect(failed).not.toHaveProperty("output");
  });
  test("an ending that nobody asked to hear of owes nothing and has no delivery", () => {
    const silent = go(acceptTask(quiet, t0, true, rules), claim(0), t0);
    const other = { ...running, webhook: { url: "u", sealedSecrets: [], sealedHeaders: {}, events: ["task.failed"] as const } };
    for (const task of [silent, other]) {
      const { next, effects } = accepted(transition(task, report(1, 1, success), t0, rules));
      expect(next.owes).toStrictEqual([]);
      expect(next).not.toHaveProperty("delivery");
      expect(effects).toStrictEqual([]);
    }
  });
  test("a report of backoff lets the executor go until the node's next try and costs no try", () => {
    const next = go({ ...running, tries: 2, alone: true }, report(1, 1, backoff, 0), t0 + 1);
    expect(next).toMatchObject({ state: "queued", tries: 0, alone: false, version: 3, since: t0 + 1 });
    expect(next).toMatchObject({ queueing: { kind: "delayed", why: "retry", until: t0 + 20_001, node: "page" } });
    expect(next).not.toHaveProperty("executor");
  });
  test("a report of waiting keeps what is waited for and no holder", () => {
    expect(waiting).toMatchObject({
      state: "waiting",
      waits: [{ kind: "timer", node: "pause" }],
      waitCount: 1,
      version: 3,
      report: 1,
    });
    expect(waiting).not.toHaveProperty("executor");
  });
});

describe("heartbeats and releases", () => {
  test("a heartbeat extends the lease and changes nothing else", () => {
    expect(go(running, heartbeat(1), t0 + 8)).toStrictEqual({ ...running, leaseUntil: t0 + 8 + rules.leaseMs });
  });
  test.each([heartbeat(0), heartbeat(2), heartbeat(1, "B"), release(0), release(2), release(1, "B")])(
    "only the holder is heard: $kind of attempt $attempt by $executor is refused",
    (event) => {
      expect(why(transition(running, event, t0 + 1, rules))).toBe("not-holder");
    },
  );
  test("the holder of an earlier attempt is not told to stop by a cancelled task but that it has ended", () => {
    expect(why(transition(cancelled, heartbeat(0), t0, rules))).toBe("ended");
    expect(why(transition(cancelled, heartbeat(1), t0, rules))).toBe("stopped");
  });
  test("a release puts the task back into the backlog, costs no try and rings the partition", () => {
    const { next, effects } = accepted(transition({ ...running, tries: 4, alone: true }, release(1), t0 + 2, rules));
    expect(next).toMatchObject({
      state: "queued",
      queueing: { kind: "backlog" },
      tries: 0,
      alone: false,
      attempt: 1,
      since: t0 + 2,
    });
    expect(effects).toStrictEqual([{ kind: "refill", partition: running.partition }]);
  });
});

describe("cancelling", () => {
  test.each([
    ["delayed", delayed],
    ["backlog", backlog],
    ["ticketed", ticketed],
    ["waiting", waiting],
  ])("a %s task is cancelled at once and nobody needs to be told but its webhook", (_name, task) => {
    const { next, effects } = accepted(transition(task, cancel, t0 + 1, rules));
    expect(next).toMatchObject({
      state: "cancelled",
      endTime: t0 + 1,
      error: { code: "cancelled", message: "The task was cancelled." },
    });
    expect(effects.map((effect) => effect.kind)).toStrictEqual(["hand-over"]);
    for (const gone of ["queueing", "waitingFor", "since"]) expect(next).not.toHaveProperty(gone);
  });
  test("cancelling a running task tells its holder to stop", () => {
    expect(effectsOf(running, cancel, t0)).toStrictEqual([
      {
        kind: "hand-over",
        debt: { kind: "webhook", key: "task.cancelled", event: "task.cancelled", dueAt: t0 + rules.debtMs, failures: 0 },
      },
      { kind: "revoke", executor: "A", taskId: submission.id, attempt: 1 },
    ]);
  });
  test("the reason given is the message kept", () => {
    expect(go(backlog, { kind: "cancel", reason: "Too dear." }, t0)).toMatchObject({ error: { message: "Too dear." } });
  });
});

test("an event that the core does not know is a bug and throws", () => {
  const nonsense: TaskEvent = JSON.parse('{"kind":"explode"}');
  expect(() => transition(ticketed, nonsense, t0, rules)).toThrow(/unreachable.*explode/);
  const strange: ReportOutcome = JSON.parse('{"kind":"shrug"}');
  expect(() => transition(running, report(1, 1, strange), t0, rules)).toThrow(/unreachable.*shrug/);
});
