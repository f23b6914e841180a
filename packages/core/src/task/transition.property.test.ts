import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptTask, type Submission } from "./accept.ts";
import type { Decision, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules, type Rules } from "./rules.ts";
import { commonOf, type DebtKey, isEnded, type Task, terminalStates, type WebhookEvent } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

const t0 = 1_700_000_000_000;
const webhookEvents = terminalStates.map((state): WebhookEvent => `task.${state}`);

const someMs = fc.oneof(
  fc.integer({ min: 0, max: 10 }),
  fc.integer({ min: 0, max: 60_000 }),
  fc.integer({ min: 0, max: 7_200_000 }),
);
const webhook = fc.record(
  {
    url: fc.constant("https://example.com/"),
    sealedSecrets: fc.constant([]),
    sealedHeaders: fc.constant({}),
    events: fc.subarray(webhookEvents),
  },
  { noNullPrototype: true },
);

/** Any accepted task, also one whose deadline is past already or lies before its start. */
const begin = fc
  .record({
    notBefore: fc.option(someMs),
    deadline: someMs,
    webhook: fc.option(webhook),
    room: fc.boolean(),
    awaited: fc.option(fc.boolean()),
  })
  .map(({ notBefore, deadline, webhook: target, room, awaited }) => {
    const submission: Submission = {
      id: "t1",
      project: "p1",
      workflow: "w",
      revision: 1,
      input: { kind: "inline", json: "{}" },
      text: "",
      labels: {},
      priority: 0,
      deadline: t0 + deadline,
      ...(notBefore === null ? {} : { notBefore: t0 + notBefore }),
      ...(target === null ? {} : { webhook: target }),
      ...(awaited === null ? {} : { parent: { id: "t0", node: "n", awaited }, depth: 1 }),
    };
    return { submission, room };
  });

const retryRule = fc.record({
  attempts: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(Number.MAX_SAFE_INTEGER)),
  delayMs: fc.integer({ min: 1, max: 5_000 }),
  factor: fc.integer({ min: 1, max: 4 }),
  maxMs: fc.integer({ min: 5_000, max: 60_000 }),
  jitter: fc.constant(0),
});
const anyRules: fc.Arbitrary<Rules> = fc.oneof(
  fc.constant(defaultRules),
  fc.record({
    leaseMs: fc.integer({ min: 1_000, max: 30_000 }),
    ticketMs: fc.integer({ min: 1_000, max: 10_000 }),
    ticketMaxMs: fc.integer({ min: 10_000, max: 60_000 }),
    slotMs: fc.integer({ min: 1_000, max: 10_000 }),
    slotMaxMs: fc.integer({ min: 10_000, max: 60_000 }),
    maxTries: fc.integer({ min: 1, max: 5 }),
    lost: retryRule,
    debtMs: fc.integer({ min: 1, max: 10_000 }),
    debt: retryRule,
  }),
);

const outcome: fc.Arbitrary<ReportOutcome> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<ReportOutcome>({ kind: "progress" }) },
  fc.constant<ReportOutcome>({ kind: "succeeded", output: { kind: "stored", key: "k", bytes: 9_000 } }),
  fc.constant<ReportOutcome>({ kind: "failed", error: { code: "node_failed", message: "No.", retryable: false } }),
  someMs.map((delayMs): ReportOutcome => ({ kind: "backoff", delayMs, node: "n" })),
  fc.record({ until: fc.option(someMs), more: fc.nat(1), seen: fc.nat(3) }).map(
    ({ until, more, seen }): ReportOutcome => ({
      kind: "wait",
      waits: [{ kind: "timer", node: "n", since: t0, reason: "It waits.", ...(until === null ? {} : { until: t0 + until }) }],
      waitCount: 1 + more,
      seen,
    }),
  ),
);

/** What comes next and when: sometimes about the attempt that there is, sometimes about another. `null` waits until something is due. */
type Step = readonly [afterMs: number | null, aim: (task: Task) => TaskEvent];
const executor = fc.constantFrom("A", "B");
const shift = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: -2, max: 2 }));
const event: fc.Arbitrary<(task: Task) => TaskEvent> = fc
  .oneof(
    fc.record({ kind: fc.constant("ticket" as const) }),
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("claim" as const), executor, attempt: shift }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("report" as const),
        executor,
        attempt: shift,
        number: shift,
        results: fc.constantFrom(0, 0, 1, 3),
        outcome,
        consumed: fc.constantFrom([], [1], [1, 2]),
        spent: fc.constant({ tokens: 1, calls: 2, nodeRuns: 3, runMs: 4 }),
      }),
    },
    fc.record({ kind: fc.constantFrom("heartbeat" as const, "release" as const, "child" as const), executor, attempt: shift }),
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("arrive" as const),
        node: fc.constantFrom("n", "m"),
        by: fc.constant("me"),
        payload: fc.constant({ kind: "inline", json: "1" } as const),
        once: fc.boolean(),
      }),
    },
    fc.record({ kind: fc.constant("cancel" as const), reason: fc.constantFrom("", "Enough.") }),
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("wake" as const, "orphan" as const), room: fc.boolean() }) },
    fc.record({
      kind: fc.constantFrom("settle" as const, "defer" as const),
      key: fc.constantFrom<DebtKey[]>(...webhookEvents, "parent", "children"),
    }),
    fc.record({
      kind: fc.constant("delivery" as const),
      event: fc.constantFrom(...webhookEvents),
      state: fc.constantFrom("pending" as const, "paused" as const, "delivered" as const, "exhausted" as const),
      sequence: fc.integer({ min: 0, max: 4 }),
    }),
  )
  .map((given) => {
    const aim = (task: Task): TaskEvent => {
      if (given.kind === "report") {
        return { ...given, attempt: task.attempt + given.attempt, number: task.report + 1 + given.number };
      }
      return "attempt" in given ? { ...given, attempt: task.attempt + given.attempt } : given;
    };
    return Object.assign(aim, { [fc.toStringMethod]: () => JSON.stringify(given) });
  });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.tuple(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.constant(null), someMs), event),
  {
    maxLength: 40,
    size: "max",
  },
);

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) freeze(part);
  }
  return value;
}

interface Moment {
  readonly before: Task;
  readonly event: TaskEvent;
  readonly now: number;
  readonly decision: Decision;
  readonly after: Task;
}
interface History {
  readonly first: Task;
  readonly moments: readonly Moment[];
  readonly last: Task;
  readonly now: number;
  readonly rules: Rules;
}

function play(start: { submission: Submission; room: boolean }, todo: readonly Step[], rules: Rules): History {
  const first = freeze(acceptTask(freeze(start.submission), t0, start.room, freeze(rules)));
  const moments: Moment[] = [];
  let task: Task = first;
  let now = t0;
  for (const [afterMs, aim] of todo) {
    now = afterMs === null ? Math.max(now, wakeAt(task) ?? now) : now + afterMs;
    const happened: TaskEvent = freeze(aim(task));
    const decision: Decision = freeze(transition(task, happened, now, rules));
    const after: Task = decision.ok ? decision.next : task;
    moments.push({ before: task, event: happened, now, decision, after });
    task = after;
  }
  return { first, moments, last: task, now, rules };
}

/** For all histories: arbitrary events at arbitrary rising times, from any accepted task, under any rules. */
function forAll(check: (history: History) => void): void {
  fc.assert(
    fc.property(begin, steps, anyRules, (start, todo, rules) => check(play(start, todo, rules))),
    { numRuns: 1_500 },
  );
}

function endingOf(task: Task): unknown {
  if (!isEnded(task)) return undefined;
  return {
    state: task.state,
    endTime: task.endTime,
    ...(task.state === "succeeded" ? { output: task.output } : { error: task.error }),
  };
}
const immutable = [
  "id",
  "project",
  "partition",
  "workflow",
  "revision",
  "input",
  "text",
  "labels",
  "priority",
  "createTime",
] as const;
const alsoImmutable = ["notBefore", "deadline", "webhook", "bodyHash", "retryOf", "parent", "depth"] as const;

test("histories reach every state, every effect and every refusal, so what follows is not said of nothing", () => {
  const seen = new Set<string>();
  forAll(({ moments }) => {
    for (const { decision } of moments) {
      seen.add(decision.ok ? decision.next.state : decision.why);
      if (decision.ok) for (const effect of decision.effects) seen.add(effect.kind);
      if (decision.ok && decision.next.state === "failed") seen.add(decision.next.error.code);
    }
  });
  const states = ["queued", "running", "waiting", ...terminalStates];
  const refusals = ["ended", "stopped", "not-holder", "applied", "stale-ticket", "nothing-due", "arrived"];
  const effects = ["ticket", "refill", "revoke", "hand-over", "arrival", "tries_exhausted", "node_failed"];
  expect([...seen].sort()).toStrictEqual([...states, ...refusals, ...effects].sort());
});

test("no sequence of events leaves a terminal state or changes how a task ended", () => {
  forAll(({ moments }) => {
    for (const { before, after } of moments) {
      if (isEnded(before)) expect(endingOf(after)).toStrictEqual(endingOf(before));
    }
  });
});

test("what was submitted never changes", () => {
  forAll(({ first, last }) => {
    for (const key of [...immutable, ...alsoImmutable]) expect(last[key]).toStrictEqual(first[key]);
  });
});

test("tries never exceed their bound, and only a claim uses one up", () => {
  forAll(({ moments, rules }) => {
    for (const { before, event: happened, after } of moments) {
      expect(after.tries).toBeLessThanOrEqual(rules.maxTries);
      if (after.tries > before.tries) expect([happened.kind, after.tries]).toStrictEqual(["claim", before.tries + 1]);
    }
  });
});

test("wakeAt is set exactly while the task has not ended or owes something, and never lies behind a live task's deadline", () => {
  forAll(({ first, moments }) => {
    for (const task of [first, ...moments.map(({ after }) => after)]) {
      const due = wakeAt(task);
      expect(due !== undefined).toBe(!isEnded(task) || task.owes.length > 0);
      if (!isEnded(task)) expect(due).toBeLessThanOrEqual(task.deadline);
      if (!isEnded(task)) expect(task.owes).toStrictEqual([]);
    }
  });
});

test("version and attempt never fall, and an attempt begins only by a claim", () => {
  forAll(({ moments }) => {
    for (const { before, event: happened, after } of moments) {
      expect(after.version === before.version || after.version === before.version + 1).toBe(true);
      const begun = happened.kind === "claim" && before.state === "queued" && after.state === "running";
      expect(after.attempt).toBe(before.attempt + (begun ? 1 : 0));
    }
  });
});

test("whatever a reader can see changes only together with the version", () => {
  const seen = (task: Task): unknown => ({
    state: task.state,
    attempt: task.attempt,
    startTime: task.startTime,
    waits: task.state === "waiting" ? task.waits : undefined,
    delivery: task.delivery?.state,
    ending: endingOf(task),
  });
  forAll(({ moments }) => {
    for (const { before, after } of moments)
      if (after.version === before.version) expect(seen(after)).toStrictEqual(seen(before));
  });
});

test("only the holder is heard, and no report is applied twice or out of order", () => {
  forAll(({ moments }) => {
    const holders = new Map<number, string>();
    const applied = new Set<string>();
    for (const { before, event: happened, decision, after } of moments) {
      if (!decision.ok) continue;
      if (happened.kind === "claim") {
        // One holder per attempt, for good.
        expect(holders.get(after.attempt) ?? happened.executor).toBe(happened.executor);
        holders.set(after.attempt, happened.executor);
      }
      if (happened.kind === "report" || happened.kind === "heartbeat" || happened.kind === "release") {
        expect(before).toMatchObject({ state: "running", attempt: happened.attempt, executor: happened.executor });
        expect(holders.get(happened.attempt)).toBe(happened.executor);
      }
      if (happened.kind === "report") {
        const name = `${happened.attempt}.${happened.number}`;
        expect(applied.has(name)).toBe(false);
        applied.add(name);
        expect(happened.number).toBeGreaterThan(before.report);
        expect(after.report).toBe(happened.number);
      }
    }
  });
});

test("the next report of the holder is never refused, and no other is accepted", () => {
  forAll(({ moments }) => {
    for (const { before, event: happened, decision } of moments) {
      if (happened.kind !== "report" || before.state !== "running") continue;
      const fresh =
        happened.attempt === before.attempt && happened.executor === before.executor && happened.number === before.report + 1;
      expect(decision.ok).toBe(fresh);
    }
  });
});

test("what an ending owes is owed in the very decision that ends the task, and until it is settled or reported on", () => {
  forAll(({ moments }) => {
    for (const { before, event: happened, decision, after } of moments) {
      if (!isEnded(after)) continue;
      const own: WebhookEvent = `task.${after.state}`;
      if (!isEnded(before)) {
        const wanted = after.webhook?.events.includes(own) ?? false;
        expect(after.owes.map((debt) => debt.key)).toStrictEqual([
          ...(wanted ? [own] : []),
          ...(after.parent?.awaited === true ? ["parent"] : []),
          ...(before.children === true && after.state !== "succeeded" ? ["children"] : []),
        ]);
        expect(after.delivery).toStrictEqual(wanted ? { state: "pending", sequence: 0 } : undefined);
        const handed = decision.ok ? decision.effects.filter((effect) => effect.kind === "hand-over") : [];
        expect(handed).toStrictEqual(after.owes.map((debt) => ({ kind: "hand-over", debt })));
      } else if (after.owes.length < before.owes.length) {
        expect(["settle", "delivery"]).toContain(happened.kind);
        const gone = before.owes.map((debt) => debt.key).filter((key) => !after.owes.some((debt) => debt.key === key));
        expect(gone).toStrictEqual([happened.kind === "settle" ? happened.key : own]);
      } else {
        expect(after.owes.map((debt) => debt.key)).toStrictEqual(before.owes.map((debt) => debt.key));
      }
    }
  });
});

test("a delivery's standing follows its sequence upwards and nothing else", () => {
  forAll(({ moments }) => {
    for (const { before, event: happened, after } of moments) {
      if (before.delivery === undefined || after.delivery === before.delivery) continue;
      expect(after.delivery?.sequence).toBeGreaterThan(before.delivery.sequence);
      expect(happened).toMatchObject({ kind: "delivery", state: after.delivery?.state });
    }
  });
});

test("all tickets of one attempt say the same, so an old one is as good as a new one", () => {
  forAll(({ moments }) => {
    const alone = new Map<number, boolean>();
    for (const { decision, after } of moments) {
      if (!decision.ok) continue;
      for (const effect of decision.effects) {
        if (effect.kind !== "ticket") continue;
        expect(effect).toMatchObject({ taskId: after.id, project: after.project, attempt: after.attempt, alone: after.alone });
        expect(alone.get(effect.attempt) ?? effect.alone).toBe(effect.alone);
        alone.set(effect.attempt, effect.alone);
      }
    }
  });
});

test("a holder that loses the task to time, cancelling or a dead process is told to stop", () => {
  forAll(({ moments }) => {
    for (const { before, event: happened, decision, after } of moments) {
      if (!decision.ok) continue;
      const revoked = decision.effects.filter((effect) => effect.kind === "revoke");
      const taken =
        before.state === "running" && after.state !== "running" && happened.kind !== "report" && happened.kind !== "release";
      expect(revoked).toStrictEqual(
        taken ? [{ kind: "revoke", executor: before.executor, taskId: before.id, attempt: before.attempt }] : [],
      );
    }
  });
});

test("whoever joins the backlog rings its partition, and whoever is ticketed anew goes out", () => {
  const queueing = (task: Task): string => (task.state === "queued" ? task.queueing.kind : "");
  // What is untouched keeps its object: something that arrives for a ticketed task makes no new ticket.
  const isAnew = (before: Task, after: Task): boolean =>
    before.state !== "queued" || after.state !== "queued" || before.queueing !== after.queueing;
  forAll(({ moments }) => {
    for (const { before, decision, after } of moments) {
      if (!decision.ok || before === after) continue;
      const kinds = decision.effects.map((effect) => effect.kind);
      expect(kinds.includes("refill")).toBe(queueing(after) === "backlog" && queueing(before) !== "backlog");
      expect(kinds.includes("ticket")).toBe(queueing(after) === "ticketed" && isAnew(before, after));
    }
  });
});

test("a look at what is due always pushes the next look into the future: no task keeps the sweeper busy", () => {
  forAll(({ moments }) => {
    for (const { event: happened, decision, now, before, after } of moments) {
      if (happened.kind !== "wake") continue;
      expect(decision.ok).toBe((wakeAt(before) ?? Number.POSITIVE_INFINITY) <= now);
      if (decision.ok) expect(wakeAt(after) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(now);
    }
  });
});

test("left to time alone every task ends, by its deadline at the latest, and what it owes is looked at for ever with growing pauses", () => {
  forAll(({ last, now: stopped, rules }) => {
    let task = last;
    let now = stopped;
    let looks = 0;
    while (!isEnded(task)) {
      now = Math.max(now, wakeAt(task) ?? Number.NaN);
      const decision = transition(task, { kind: "wake", room: ++looks % 2 === 0 }, now, rules);
      if (!decision.ok) throw new Error(`a due look was refused: ${decision.why}`);
      task = decision.next;
      if (looks > 10_000) throw new Error("it never ends");
    }
    if (!isEnded(last)) expect(isEnded(task) && task.endTime <= Math.max(task.deadline, stopped)).toBe(true);
    if (task.owes.length === 0) return;
    // One debt at a time: the pauses of several cross.
    task = { ...task, owes: task.owes.slice(0, 1) };
    let pauseMs = 0;
    for (let i = 0; i < 12; i++) {
      now = Math.max(now, wakeAt(task) ?? Number.NaN);
      const decision = transition(task, { kind: "wake", room: true }, now, rules);
      if (!decision.ok) throw new Error(`a debt was forgotten: ${decision.why}`);
      expect(decision.effects.map((effect) => effect.kind)).toStrictEqual(["hand-over"]);
      const nextMs = (wakeAt(decision.next) ?? Number.NaN) - now;
      expect(nextMs).toBeGreaterThanOrEqual(pauseMs);
      expect(nextMs).toBeLessThanOrEqual(Math.max(rules.debtMs, rules.debt.maxMs));
      [task, pauseMs] = [decision.next, nextMs];
    }
    const paid = transition(task, { kind: "settle", key: task.owes[0]?.key ?? "task.failed" }, now, rules);
    expect(paid.ok && wakeAt(paid.next)).toBeUndefined();
  });
});

test("deciding is pure: a frozen task decides twice alike, and a refusal carries nothing", () => {
  forAll(({ moments, rules }) => {
    for (const { before, event: happened, now, decision } of moments) {
      expect(transition(before, happened, now, rules)).toStrictEqual(decision);
      expect(transition(structuredClone(before), structuredClone(happened), now, rules)).toStrictEqual(decision);
      if (!decision.ok) expect(Object.keys(decision).sort()).toStrictEqual(["ok", "why"]);
    }
  });
});

test("a task survives being stored as JSON in every state, with nothing undefined and nothing of a former state", () => {
  const own = {
    queued: ["queueing", "since", "state"],
    running: ["executor", "leaseUntil", "state"],
    waiting: ["state", "waitCount", "waits"],
    succeeded: ["endTime", "output", "state"],
    failed: ["endTime", "error", "state"],
    cancelled: ["endTime", "error", "state"],
    timed_out: ["endTime", "error", "state"],
  } as const;
  forAll(({ first, moments }) => {
    for (const task of [first, ...moments.map(({ after }) => after)]) {
      expect(JSON.parse(JSON.stringify(task))).toStrictEqual(task);
      const common = new Set(Object.keys(commonOf(task)));
      expect(
        Object.keys(task)
          .filter((key) => !common.has(key))
          .sort(),
      ).toStrictEqual([...own[task.state]]);
    }
  });
});
