import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptTask } from "./accept.ts";
import type { Decision, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules } from "./rules.ts";
import { type Arrival, isEnded, maxInbox, maxWaits, type Spent, type Task, type WaitingFor } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

const t0 = 1_700_000_000_000;
const rules = defaultRules;
const nodes = ["a", "b", "each[1].c", "d"] as const;
const node = fc.constantFrom(...nodes);

/** One thing that happens; executors are honest about what they consumed, but may have looked at the inbox a while ago. */
type Step =
  | { readonly kind: "arrive"; readonly node: string; readonly once: boolean; readonly times: number; readonly fails: boolean }
  | { readonly kind: "claim" | "release" | "child" | "cancel" | "heartbeat" }
  | { readonly kind: "wake"; readonly room: boolean }
  | {
      readonly kind: "report";
      readonly outcome: "progress" | "wait" | "succeeded" | "failed" | "backoff";
      readonly consumed: readonly number[];
      readonly unseen: number;
      readonly waits: readonly { readonly node: string; readonly ms: number | null }[];
      readonly unlisted: number;
      readonly results: number;
    };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("arrive" as const),
      node,
      once: fc.boolean(),
      times: fc.constantFrom(1, 1, 1, 2, 70),
      fails: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("claim" as const) }) },
  fc.record({ kind: fc.constantFrom("release" as const, "child" as const, "heartbeat" as const) }),
  fc.record({ kind: fc.constant("wake" as const), room: fc.boolean() }),
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("report" as const),
      outcome: fc.constantFrom<("progress" | "wait" | "succeeded" | "failed" | "backoff")[]>(
        ...["progress" as const, "progress" as const, "wait" as const, "wait" as const, "wait" as const],
        ...["succeeded" as const, "failed" as const, "backoff" as const],
      ),
      consumed: fc.array(fc.nat(5), { maxLength: 3 }),
      unseen: fc.nat(2),
      waits: fc.array(fc.record({ node, ms: fc.option(fc.integer({ min: -5, max: 90_000 })) }), { minLength: 1, maxLength: 4 }),
      unlisted: fc.constantFrom(0, 0, 3),
      results: fc.nat(1),
    }),
  },
  fc.record({ kind: fc.constant("cancel" as const) }),
);
/** With `null` time goes on until something is due. */
const steps = fc.array(fc.tuple(fc.constantFrom(0, 0, 0, 40, null), step), { maxLength: 40, size: "max" });

interface Moment {
  readonly before: Task;
  readonly event: TaskEvent;
  readonly decision: Decision;
  readonly after: Task;
  readonly now: number;
}

const one: Spent = { tokens: 1, calls: 1, nodeRuns: 1, runMs: 1 };

function eventOf(task: Task, given: Step, now: number): TaskEvent {
  const { attempt } = task;
  switch (given.kind) {
    case "arrive": {
      const { kind, once, fails } = given;
      const error = { code: "node_failed", message: "No.", retryable: false };
      const said = fails ? { error } : { payload: { kind: "inline", json: "1" } as const };
      return { kind, node: given.node, by: "me", once, ...said };
    }
    case "wake":
      return given;
    case "cancel":
      return { kind: "cancel", reason: "" };
    case "report": {
      const inbox = task.inbox ?? [];
      const consumed = given.consumed.flatMap((at) => inbox[at]?.seq ?? []);
      const base = { kind: "report", executor: "A", attempt, number: task.report + 1, results: given.results } as const;
      return { ...base, consumed, spent: one, outcome: outcomeOf(task, given, now) };
    }
    default:
      return { kind: given.kind, executor: "A", attempt };
  }
}

function outcomeOf(task: Task, given: Extract<Step, { kind: "report" }>, now: number): ReportOutcome {
  switch (given.outcome) {
    case "succeeded":
      return { kind: "succeeded", output: { kind: "inline", json: "1" } };
    case "failed":
      return { kind: "failed", error: { code: "node_failed", message: "No.", retryable: false } };
    case "backoff":
      return { kind: "backoff", delayMs: 20_000, node: "a" };
    case "wait": {
      const waits = given.waits.map(({ node: path, ms }): WaitingFor => {
        const wait = { kind: "signal", node: path, since: now, reason: "It waits." } as const;
        return ms === null ? wait : { ...wait, until: now + ms };
      });
      return {
        kind: "wait",
        waits,
        waitCount: waits.length + given.unlisted,
        seen: Math.max(0, (task.arrivals ?? 0) - given.unseen),
      };
    }
    default:
      return { kind: "progress" };
  }
}

function play(todo: readonly (readonly [number | null, Step])[]): readonly Moment[] {
  const input = { kind: "inline", json: "{}" } as const;
  const submission = { id: "t1", project: "p1", workflow: "w", revision: 1, input, text: "", labels: {}, priority: 0 };
  let task: Task = acceptTask({ ...submission, deadline: t0 + 3_600_000 }, t0, true, rules);
  let now = t0;
  const moments: Moment[] = [];
  for (const [afterMs, given] of todo) {
    now = afterMs === null ? Math.max(now, wakeAt(task) ?? now) : now + afterMs;
    for (let times = given.kind === "arrive" ? given.times : 1; times > 0; times--) {
      const event = eventOf(task, given, now);
      const decision: Decision = transition(task, event, now, rules);
      const after: Task = decision.ok ? decision.next : task;
      moments.push({ before: task, event, decision, after, now });
      task = after;
    }
  }
  return moments;
}

function forAll(check: (moments: readonly Moment[]) => void): void {
  fc.assert(
    fc.property(steps, (todo) => check(play(todo))),
    { numRuns: 1_000 },
  );
}

const seqs = (arrivals: readonly Arrival[] | undefined): readonly number[] => (arrivals ?? []).map(({ seq }) => seq);

test("histories have tasks that wait, are woken by arrivals, sleep over foreign ones, and refuse what is too much", () => {
  const seen = new Set<string>();
  forAll((moments) => {
    for (const { before, event, decision, after } of moments) {
      if (event.kind === "arrive") seen.add(decision.ok ? `${before.state} to ${after.state}` : decision.why);
      if (event.kind === "report" && event.outcome.kind === "wait" && decision.ok) seen.add(`wait: ${after.state}`);
    }
  });
  expect([...seen].sort()).toStrictEqual(
    ["queued to queued", "running to running", "waiting to queued", "waiting to waiting", "wait: queued", "wait: waiting"]
      .concat("arrived", "ended", "inbox-full")
      .sort(),
  );
});

test("the inbox holds exactly what arrived and was not consumed, in order, until the task ends, and never more than its bound", () => {
  forAll((moments) => {
    let expected: readonly number[] = [];
    let last = 0;
    for (const { event, decision, after } of moments) {
      if (decision.ok && event.kind === "arrive") expected = [...expected, ++last];
      if (decision.ok && event.kind === "report") expected = expected.filter((seq) => !event.consumed?.includes(seq));
      if (isEnded(after)) expected = [];
      expect(seqs(after.inbox)).toStrictEqual(expected);
      expect(after.inbox?.length).not.toBe(0);
      expect(expected.length).toBeLessThanOrEqual(maxInbox);
      expect(after.arrivals ?? 0).toBe(last);
    }
  });
});

test("no arrival is slept through: a waiting task has seen all that arrived for the nodes that it waits for", () => {
  forAll((moments) => {
    let seen = 0;
    for (const { event, decision, after } of moments) {
      if (decision.ok && event.kind === "report" && event.outcome.kind === "wait") seen = event.outcome.seen;
      if (after.state !== "waiting") continue;
      const listed = new Set(after.waits.map((wait) => wait.node));
      const isComplete = after.waitCount === after.waits.length;
      const missed = (after.inbox ?? []).filter(({ seq, node: path }) => seq > seen && (!isComplete || listed.has(path)));
      expect(missed).toStrictEqual([]);
    }
  });
});

test("a waiting task lists 1 to 100 nodes, the soonest first, and is never put to sleep over a time that has come", () => {
  forAll((moments) => {
    for (const { before, after, now } of moments) {
      if (after.state !== "waiting") continue;
      expect(after.waits.length).toBeGreaterThan(0);
      expect(after.waits.length).toBeLessThanOrEqual(maxWaits);
      expect(after.waitCount).toBeGreaterThanOrEqual(after.waits.length);
      const untils = after.waits.map(({ until }) => until ?? Number.POSITIVE_INFINITY);
      expect(untils).toStrictEqual([...untils].sort((a, b) => a - b));
      if (before.state === "running") expect(untils[0]).toBeGreaterThan(now);
    }
  });
});

test("something that arrived wakes a task at once or leaves all else as it was, and every holder is told", () => {
  forAll((moments) => {
    for (const { before, event, decision, after } of moments) {
      if (event.kind !== "arrive" || !decision.ok) continue;
      expect(after).toMatchObject({ version: before.version + 1, attempt: before.attempt, report: before.report });
      const told = decision.effects.filter((effect) => effect.kind === "arrival");
      expect(told).toHaveLength(before.state === "running" ? 1 : 0);
      if (after.state === before.state) {
        const { inbox: _i, arrivals: _a, version: _v, ...rest } = after;
        expect(before).toMatchObject(rest);
      } else expect(after).toMatchObject({ state: "queued", tries: 0, alone: false });
    }
  });
});

test("what is spent adds up over all accepted reports, and nothing else changes it", () => {
  forAll((moments) => {
    let reports = 0;
    for (const { event, decision, after } of moments) {
      if (decision.ok && event.kind === "report") reports++;
      expect(after.spent?.tokens ?? 0).toBe(reports);
    }
  });
});

test("once a task may have started others it never forgets, and every ending but success owes their end", () => {
  forAll((moments) => {
    for (const { before, event, decision, after } of moments) {
      if (before.children === true) expect(after.children).toBe(true);
      if (decision.ok && event.kind === "child") expect(after).toMatchObject({ children: true, version: before.version });
      if (isEnded(after) && !isEnded(before)) {
        const owes = after.owes.some(({ key }) => key === "children");
        expect(owes).toBe(before.children === true && after.state !== "succeeded");
      }
    }
  });
});
