import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptTask } from "./accept.ts";
import type { Decision, Effect, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules } from "./rules.ts";
import { isEnded, type Task, type TaskId, terminalStates, type WebhookEvent } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

// A small world around the core: a store with compare-and-set, schedulers that read now and write later, executors that know
// only what they were told and never look at a clock, and a network that loses, doubles, delays and reorders every message.

const rules = { ...defaultRules, maxTries: 3 };
const t0 = 1_700_000_000_000;
const webhookEvents = terminalStates.map((state): WebhookEvent => `task.${state}`);

type Letter =
  | { readonly to: "scheduler"; readonly id: TaskId; readonly event: TaskEvent }
  | { readonly to: "world"; readonly id: TaskId; readonly effect: Effect }
  | { readonly to: "executor"; readonly id: TaskId; readonly event: TaskEvent; readonly holds: boolean };
/** A scheduler that has read and decided, and has not written yet. */
interface Draft {
  readonly id: TaskId;
  readonly event: TaskEvent;
  readonly rev: number;
  readonly decision: Decision;
}
/** What an executor believes it holds. One report is under way at a time; it is sent again until it is answered. */
interface Hold {
  readonly id: TaskId;
  readonly executor: string;
  readonly attempt: number;
  number: number;
  underWay: TaskEvent | undefined;
}
/** What was written: the only thing that the model learns of. */
interface Written {
  readonly before: Task;
  readonly event: TaskEvent;
  readonly after: Task;
}

interface World {
  now: number;
  readonly store: Map<TaskId, { task: Task; rev: number }>;
  readonly letters: Letter[];
  readonly drafts: Draft[];
  holds: Hold[];
  /** The notifier's book: deliveries by task and event, with how often they were asked for. */
  readonly deliveries: Map<string, number>;
  readonly written: Written[];
}

/** What must be true, kept apart from the core: who holds what, what is applied, how each task ended. */
interface Book {
  readonly holders: Map<TaskId, { executor: string; attempt: number; report: number } | undefined>;
  readonly ended: Map<TaskId, Task>;
}

function take<T>(list: T[], at: number): T | undefined {
  return list.length === 0 ? undefined : list.splice(at % list.length, 1)[0];
}

function read(world: World, id: TaskId, event: TaskEvent): void {
  const found = world.store.get(id);
  if (found !== undefined)
    world.drafts.push({ id, event, rev: found.rev, decision: transition(found.task, event, world.now, rules) });
}

/** Compare-and-set, with the use case's loop: a draft that comes too late is decided again on what is there now. */
function write(world: World, draft: Draft): void {
  const found = world.store.get(draft.id);
  if (found === undefined) return;
  if (found.rev !== draft.rev) {
    read(world, draft.id, draft.event);
    return;
  }
  const { event, decision } = draft;
  if (event.kind === "claim" || event.kind === "report" || event.kind === "heartbeat") {
    const holds = decision.ok ? decision.next.state === "running" : decision.why === "applied";
    world.letters.push({ to: "executor", id: draft.id, event, holds });
  }
  if (!decision.ok) {
    if (event.kind === "report") world.written.push({ before: found.task, event, after: found.task });
    return;
  }
  world.store.set(draft.id, { task: decision.next, rev: found.rev + 1 });
  world.written.push({ before: found.task, event, after: decision.next });
  world.letters.push(...decision.effects.map((effect): Letter => ({ to: "world", id: draft.id, effect })));
}

/** A message arrives; `by` picks who gets a ticket, and whether the notifier is up. */
function arrive(world: World, letter: Letter, by: number): void {
  if (letter.to === "scheduler") read(world, letter.id, letter.event);
  else if (letter.to === "executor") hear(world, letter.id, letter.event, letter.holds);
  else carryOut(world, letter.id, letter.effect, by);
}

function carryOut(world: World, id: TaskId, effect: Effect, by: number): void {
  const executor = `E${by % 3}`;
  if (effect.kind === "ticket") read(world, id, { kind: "claim", executor, attempt: effect.attempt });
  if (effect.kind === "refill") read(world, id, { kind: "ticket" });
  if (effect.kind === "revoke") keepHolds(world, (hold) => hold.id !== id || hold.attempt !== effect.attempt);
  if (effect.kind === "hand-over") {
    if (effect.debt.kind !== "webhook") return;
    const { event } = effect.debt;
    if (by % 4 === 3) {
      read(world, id, { kind: "defer", key: event });
      return;
    }
    const name = `${id}.${event}`;
    world.deliveries.set(name, (world.deliveries.get(name) ?? 0) + 1);
    read(
      world,
      id,
      by % 4 === 0 ? { kind: "delivery", event, state: "delivered", sequence: by } : { kind: "settle", key: event },
    );
  }
}

function hear(world: World, id: TaskId, event: TaskEvent, holds: boolean): void {
  if (event.kind === "claim") {
    const attempt = event.attempt + 1;
    const known = world.holds.some((hold) => hold.id === id && hold.attempt === attempt);
    if (holds && !known) world.holds.push({ id, executor: event.executor, attempt, number: 0, underWay: undefined });
    return;
  }
  if (event.kind !== "report" && event.kind !== "heartbeat") return;
  const hold = world.holds.find((mine) => mine.id === id && mine.attempt === event.attempt);
  if (hold === undefined) return;
  if (event.kind === "report" && hold.number === event.number) hold.underWay = undefined;
  const over = event.kind === "report" && event.outcome.kind !== "progress";
  if (!holds || over) keepHolds(world, (mine) => mine !== hold);
}

function work(hold: Hold, outcome: ReportOutcome["kind"], results: number, ms: number): TaskEvent {
  if (hold.underWay !== undefined) return hold.underWay;
  hold.number += 1;
  const { executor, attempt, number } = hold;
  const mark = JSON.stringify({ executor, attempt, number });
  const outcomes: Readonly<Record<ReportOutcome["kind"], ReportOutcome>> = {
    progress: { kind: "progress" },
    succeeded: { kind: "succeeded", output: { kind: "inline", json: mark } },
    failed: { kind: "failed", error: { code: "node_failed", message: mark, retryable: false } },
    backoff: { kind: "backoff", delayMs: ms, node: "n" },
    wait: {
      kind: "wait",
      waits: [{ kind: "timer", node: "n", since: 0, until: t0 + ms, reason: "It waits." }],
      waitCount: 1,
      seen: 0,
    },
  };
  hold.underWay = { kind: "report", executor, attempt, number, results, outcome: outcomes[outcome] };
  return hold.underWay;
}

/** Checks what was written since the last look against the book, and keeps the book. */
function audit(book: Book, world: World): void {
  for (const { before, event, after } of world.written.splice(0)) {
    const holder = book.holders.get(after.id);
    const ended = book.ended.get(after.id);
    if (ended !== undefined && isEnded(ended)) {
      expect(after).toMatchObject({ state: ended.state, endTime: ended.endTime });
      expect("output" in after ? after.output : undefined).toStrictEqual("output" in ended ? ended.output : undefined);
      expect("error" in after ? after.error : undefined).toStrictEqual("error" in ended ? ended.error : undefined);
      continue;
    }
    if (event.kind === "report") {
      const { executor, attempt } = event;
      const fresh = holder?.executor === executor && holder.attempt === attempt && event.number > holder.report;
      expect(before !== after).toBe(fresh);
      if (before === after) continue;
      book.holders.set(after.id, { executor, attempt, report: event.number });
      if (after.state === "succeeded" || (after.state === "failed" && event.outcome.kind === "failed")) {
        const mark =
          after.state === "succeeded" ? (after.output.kind === "inline" ? after.output.json : "") : after.error.message;
        expect(JSON.parse(mark)).toStrictEqual({ executor: holder?.executor, attempt: holder?.attempt, number: event.number });
      }
    }
    if (event.kind === "claim") {
      if (before.state === "running") expect(holder).toMatchObject({ executor: event.executor, attempt: after.attempt });
      else {
        expect(holder).toBeUndefined();
        book.holders.set(after.id, { executor: event.executor, attempt: after.attempt, report: 0 });
      }
    }
    if (after.state !== "running") book.holders.set(after.id, undefined);
    if (isEnded(after)) book.ended.set(after.id, after);
  }
}

function sweep(world: World): void {
  for (const [id, { task }] of world.store) {
    if ((wakeAt(task) ?? Number.POSITIVE_INFINITY) <= world.now)
      read(world, id, { kind: "wake", room: (world.now + id.length) % 3 > 0 });
  }
}

function keepHolds(world: World, which: (hold: Hold) => boolean): void {
  world.holds = world.holds.filter(which);
}
function pass(world: World, ms: number): void {
  world.now += ms;
}

type Act = (world: World) => void;
/** One thing that happens in the world, followed by an audit. */
class Happening implements fc.Command<Book, World> {
  private readonly name: string;
  private readonly act: Act;
  constructor(name: string, act: Act) {
    this.name = name;
    this.act = act;
  }
  check(): boolean {
    return true;
  }
  run(book: Book, world: World): void {
    this.act(world);
    audit(book, world);
  }
  toString(): string {
    return this.name;
  }
}
const happening = (name: string, act: Act): Happening => new Happening(name, act);

const any = fc.nat({ max: 1_000 });
const deliver = fc
  .tuple(any, any)
  .map(([at, by]) =>
    happening(`deliver(${at},${by})`, (w) => void ifAny(take(w.letters, at), (letter) => arrive(w, letter, by))),
  );
const commit = any.map((at) => happening(`write(${at})`, (w) => void ifAny(take(w.drafts, at), (draft) => write(w, draft))));
function ifAny<T>(value: T | undefined, then: (value: T) => void): void {
  if (value !== undefined) then(value);
}

const commands = fc.commands(
  [
    fc
      .record({
        afterMs: fc.constantFrom(0, 0, 20_000),
        withinMs: fc.integer({ min: 1, max: 600_000 }),
        hooks: fc.subarray(webhookEvents),
        room: fc.boolean(),
      })
      .map(({ afterMs, withinMs, hooks, room }) =>
        happening(`submit(${afterMs},${withinMs},[${hooks.join()}],${room})`, (w) => {
          const id = `t${w.store.size}`;
          const webhook = { url: "u", sealedSecrets: [], sealedHeaders: {}, events: hooks };
          const more = {
            input: { kind: "inline", json: "1" },
            text: "",
            labels: {},
            priority: 0,
            notBefore: w.now + afterMs,
          } as const;
          const submission = { id, project: "p", workflow: "w", revision: 1, deadline: w.now + withinMs, webhook, ...more };
          w.store.set(id, { task: acceptTask(submission, w.now, room, rules), rev: 0 });
          if (room && afterMs === 0) {
            w.letters.push({ to: "world", id, effect: { kind: "ticket", project: "p", taskId: id, attempt: 0, alone: false } });
          }
        }),
      ),
    deliver,
    deliver,
    deliver,
    commit,
    commit,
    commit,
    any.map((at) => happening(`lose(${at})`, (w) => void take(w.letters, at))),
    any.map((at) =>
      happening(`double(${at})`, (w) => ifAny(w.letters[at % Math.max(1, w.letters.length)], (letter) => w.letters.push(letter))),
    ),
    any.map((at) => happening(`schedulerDies(${at})`, (w) => void take(w.drafts, at))),
    fc
      .tuple(
        any,
        fc.constantFrom("progress", "progress", "succeeded", "failed", "backoff", "wait"),
        fc.nat({ max: 1 }),
        fc.nat({ max: 100_000 }),
      )
      .map(([at, outcome, results, ms]) =>
        happening(`work(${at},${outcome},${results},${ms})`, (w) =>
          ifAny(w.holds[at % Math.max(1, w.holds.length)], (hold) => {
            w.letters.push({ to: "scheduler", id: hold.id, event: work(hold, outcome, results, ms) });
          }),
        ),
      ),
    fc.tuple(any, fc.constantFrom("heartbeat", "release")).map(([at, kind]) =>
      happening(`${kind}(${at})`, (w) =>
        ifAny(w.holds[at % Math.max(1, w.holds.length)], ({ id, executor, attempt }) => {
          w.letters.push({ to: "scheduler", id, event: { kind, executor, attempt } });
        }),
      ),
    ),
    any.map((by) => happening(`executorDies(${by % 3})`, (w) => keepHolds(w, (hold) => hold.executor !== `E${by % 3}`))),
    fc.integer({ min: 1, max: 45_000 }).map((ms) => happening(`pass(${ms})`, (w) => pass(w, ms))),
    fc.constant(happening("sweep", sweep)),
    fc.constant(happening("sweep", sweep)),
    any.map((at) =>
      happening(
        `cancel(${at})`,
        (w) => w.store.size > 0 && at % 5 === 0 && read(w, `t${at % w.store.size}`, { kind: "cancel", reason: "" }),
      ),
    ),
  ],
  { maxCommands: 120, size: "max" },
);

/** Time goes on in order: everything sent arrives, due looks are taken. `honest` executors do their work, others are gone. */
function settleDown(book: Book, world: World, honest: boolean): void {
  world.letters.length = 0;
  world.drafts.length = 0;
  if (!honest) world.holds = [];
  for (let turn = 0; turn < 5_000; turn++) {
    for (const [id, { task }] of world.store) {
      if (honest && task.state === "queued" && task.queueing.kind === "backlog") read(world, id, { kind: "ticket" });
    }
    for (const hold of world.holds) world.letters.push({ to: "scheduler", id: hold.id, event: work(hold, "succeeded", 1, 0) });
    sweep(world);
    while (world.letters.length + world.drafts.length > 0) {
      ifAny(world.drafts.shift(), (draft) => write(world, draft));
      ifAny(world.letters.shift(), (letter) => {
        if (honest || (letter.to === "world" && letter.effect.kind !== "ticket")) arrive(world, letter, 1);
      });
      audit(book, world);
    }
    const dues = [...world.store.values()].map(({ task }) => wakeAt(task)).filter((due) => due !== undefined);
    if (dues.length === 0) return;
    if (world.holds.length === 0) world.now = Math.max(world.now, Math.min(...dues));
  }
  throw new Error("the world never comes to rest");
}

const totals = { submitted: 0, succeeded: 0, attempts: 0, deliveries: 0 };
test("whatever the network and the clock do, every accepted task ends, once, by whoever held it, and its webhook is handed over", () => {
  fc.assert(
    fc.property(commands, fc.boolean(), (todo, honest) => {
      const book: Book = { holders: new Map(), ended: new Map() };
      const world: World = { now: t0, store: new Map(), letters: [], drafts: [], holds: [], deliveries: new Map(), written: [] };
      fc.modelRun(() => ({ model: book, real: world }), todo);
      settleDown(book, world, honest);
      expect([...book.ended.keys()].sort()).toStrictEqual([...world.store.keys()].sort());
      const expected: string[] = [];
      for (const { task } of world.store.values()) {
        expect(isEnded(task) && task.owes).toStrictEqual([]);
        const wanted = webhookEvents.filter((event) => event === `task.${task.state}` && task.webhook?.events.includes(event));
        expected.push(...wanted.map((event) => `${task.id}.${event}`));
        totals.submitted += 1;
        totals.attempts += task.attempt;
        if (task.state === "succeeded") totals.succeeded += 1;
      }
      expect([...world.deliveries.keys()].sort()).toStrictEqual(expected.sort());
      totals.deliveries += expected.length;
    }),
    { numRuns: 600 },
  );
  // The world was a lively one, or nothing was shown.
  expect(totals.submitted).toBeGreaterThan(500);
  expect(totals.succeeded).toBeGreaterThan(100);
  expect(totals.attempts).toBeGreaterThan(500);
  expect(totals.deliveries).toBeGreaterThan(100);
});
