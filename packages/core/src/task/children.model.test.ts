import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptTask } from "./accept.ts";
import type { Decision, Effect, ReportOutcome, TaskEvent } from "./events.ts";
import { defaultRules } from "./rules.ts";
import { type Arrival, isEnded, type Task, type TaskId } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

// Tasks that start others and wait for them, on a network that loses, doubles and reorders, under schedulers and executors that die.

const t0 = 1_700_000_000_000;
const rules = { ...defaultRules, maxTries: 1_000 };
const nodes = ["first", "second"] as const;
/** Long enough for everything that is retried, so that only something forgotten lasts until then. */
const withinMs = 30 * 86_400_000;

type Letter =
  /** A call to the scheduler; `runs` are the node runs that come with a report, `then` follows once the answer is known. */
  | { readonly to: "scheduler"; readonly id: TaskId; readonly event: TaskEvent; readonly runs?: Runs; readonly then?: Letter }
  | { readonly to: "store"; readonly id: TaskId; readonly parent: TaskId; readonly node: string; readonly attempt: number }
  | { readonly to: "executor"; readonly id: TaskId; readonly attempt: number; readonly said: Said }
  | { readonly to: "world"; readonly id: TaskId; readonly effect: Effect };
type Said =
  | { readonly kind: "claimed"; readonly executor: string; readonly inbox: readonly Arrival[] }
  | { readonly kind: "reported"; readonly number: number; readonly holds: boolean; readonly inbox: readonly Arrival[] }
  | { readonly kind: "alive"; readonly holds: boolean; readonly inbox: readonly Arrival[] }
  | { readonly kind: "started"; readonly node: string };
type Draft = Extract<Letter, { to: "scheduler" }> & { readonly rev: number; readonly decision: Decision };

/** By node: `waiting`, or what arrived for it. */
type Runs = ReadonlyMap<string, string>;
interface Hold {
  readonly id: TaskId;
  readonly executor: string;
  readonly attempt: number;
  readonly runs: Map<string, string>;
  inbox: readonly Arrival[];
  number: number;
  underWay: Letter | undefined;
}
interface World {
  now: number;
  readonly store: Map<TaskId, { readonly task: Task; readonly rev: number }>;
  readonly runs: Map<TaskId, Runs>;
  readonly letters: Letter[];
  readonly drafts: Draft[];
  holds: Hold[];
}

function call(world: World, letter: Extract<Letter, { to: "scheduler" }>): void {
  const found = world.store.get(letter.id);
  if (found !== undefined) {
    world.drafts.push({ ...letter, rev: found.rev, decision: transition(found.task, letter.event, world.now, rules) });
  }
}

/** Compare-and-set; node runs are written with the header. */
function write(world: World, { rev, decision, ...letter }: Draft): void {
  const { id, event, then } = letter;
  const found = world.store.get(id);
  if (found === undefined) return;
  if (found.rev !== rev) {
    call(world, letter);
    return;
  }
  const { task } = found;
  const after = decision.ok ? decision.next : task;
  if (decision.ok) {
    world.store.set(id, { task: after, rev: rev + 1 });
    if (letter.runs !== undefined) world.runs.set(id, letter.runs);
    world.letters.push(...decision.effects.map((effect): Letter => ({ to: "world", id, effect })));
  }
  const holds = decision.ok ? after.state === "running" : decision.why === "applied";
  const inbox = after.inbox ?? [];
  const answer = (attempt: number, said: Said): void => void world.letters.push({ to: "executor", id, attempt, said });
  if (event.kind === "claim" && decision.ok) answer(event.attempt + 1, { kind: "claimed", executor: event.executor, inbox });
  if (event.kind === "report") answer(event.attempt, { kind: "reported", number: event.number, holds, inbox });
  if (event.kind === "heartbeat" || (event.kind === "child" && !holds)) answer(event.attempt, { kind: "alive", holds, inbox });
  // A child is made only once its parent says that it may have some.
  if (event.kind === "child" ? holds : then !== undefined) world.letters.push(...(then === undefined ? [] : [then]));
}

function arrive(world: World, letter: Letter, by: number): void {
  if (letter.to === "scheduler") call(world, letter);
  else if (letter.to === "store") insert(world, letter);
  else if (letter.to === "executor") hear(world, letter);
  else carryOut(world, letter.id, letter.effect, by);
}

function insert(world: World, { id, parent, node, attempt }: Extract<Letter, { to: "store" }>): void {
  if (!world.store.has(id)) {
    submit(world, id, { parent: { id: parent, node, awaited: true }, depth: 1 });
    // Whoever looked for the children of a parent that ended meanwhile may have looked too early.
    const found = world.store.get(parent);
    if (found !== undefined && isEnded(found.task)) call(world, { to: "scheduler", id, event: { kind: "cancel", reason: "" } });
  }
  world.letters.push({ to: "executor", id: parent, attempt, said: { kind: "started", node } });
}

function submit(world: World, id: TaskId, more: object): void {
  const input = { kind: "inline", json: "1" } as const;
  const plain = { project: "p", workflow: "w", revision: 1, input, text: "", labels: {}, priority: 0 };
  const task = acceptTask({ id, deadline: world.now + withinMs, ...plain, ...more }, world.now, false, rules);
  world.store.set(id, { task, rev: 0 });
  world.letters.push({ to: "world", id, effect: { kind: "refill", partition: task.partition } });
}

function carryOut(world: World, id: TaskId, effect: Effect, by: number): void {
  const say = (event: TaskEvent, to = id, then?: Letter): void =>
    call(world, { to: "scheduler", id: to, event, ...(then === undefined ? {} : { then }) });
  switch (effect.kind) {
    case "ticket":
      say({ kind: "claim", executor: `E${by % 3}`, attempt: effect.attempt });
      break;
    case "refill":
      say({ kind: "ticket" });
      break;
    case "revoke":
      world.holds = world.holds.filter((hold) => hold.id !== id || hold.attempt !== effect.attempt);
      break;
    case "arrival":
      say({ kind: "heartbeat", executor: effect.executor, attempt: effect.attempt });
      break;
    case "hand-over": {
      const { key } = effect.debt;
      const task = world.store.get(id)?.task;
      const settle: Letter = { to: "scheduler", id, event: { kind: "settle", key } };
      if (by % 5 === 4) {
        say({ kind: "defer", key });
      } else if (key === "parent" && task?.parent !== undefined && isEnded(task)) {
        const said =
          task.state === "succeeded" ? { payload: task.output } : { error: { code: task.state, message: id, retryable: false } };
        say({ kind: "arrive", node: task.parent.node, by: id, once: true, ...said }, task.parent.id, settle);
      } else if (key === "children") {
        for (const [childId, { task: child }] of world.store) {
          if (child.parent?.id === id && !isEnded(child)) say({ kind: "cancel", reason: "" }, childId);
        }
        world.letters.push(settle);
      }
    }
  }
}

function hear(world: World, { id, attempt, said }: Extract<Letter, { to: "executor" }>): void {
  const hold = world.holds.find((mine) => mine.id === id && mine.attempt === attempt);
  if (said.kind === "claimed") {
    const { executor, inbox } = said;
    const runs = new Map(world.runs.get(id));
    if (hold === undefined) world.holds.push({ id, executor, attempt, runs, inbox, number: 0, underWay: undefined });
    return;
  }
  if (hold === undefined) return;
  if (said.kind === "started") {
    if (!hold.runs.has(said.node)) hold.runs.set(said.node, "waiting");
    return;
  }
  if (said.kind === "reported" && said.number === hold.number) hold.underWay = undefined;
  // Answers overtake each other: what is known of the inbox only grows, and what was consumed is known by the runs.
  const known = hold.inbox.at(-1)?.seq ?? 0;
  hold.inbox = [...hold.inbox, ...said.inbox.filter(({ seq }) => seq > known)];
  if (!said.holds) world.holds = world.holds.filter((mine) => mine !== hold);
}

/** What an honest executor does next with a task that it holds. */
function work(world: World, hold: Hold): Letter {
  if (hold.underWay !== undefined) return hold.underWay;
  const { id, executor, attempt } = hold;
  const isChild = world.store.get(id)?.task.parent !== undefined;
  const missing = isChild ? undefined : nodes.find((node) => !hold.runs.has(node));
  if (missing !== undefined) {
    const then: Letter = { to: "store", id: `${id}.${missing}`, parent: id, node: missing, attempt };
    return { to: "scheduler", id, event: { kind: "child", executor, attempt }, then };
  }
  const consumed: number[] = [];
  for (const { seq, node, payload, error } of hold.inbox) {
    consumed.push(seq);
    if (hold.runs.get(node) === "waiting")
      hold.runs.set(node, error === undefined ? (payload?.kind === "inline" ? payload.json : "") : `failed: ${error.code}`);
  }
  hold.number += 1;
  const said = { kind: "report", executor, attempt, number: hold.number, results: consumed.length, consumed } as const;
  const event: TaskEvent = { ...said, outcome: isChild ? outcomeOfChild(id) : outcomeOf(hold, world.now) };
  hold.underWay = { to: "scheduler", id, event, runs: new Map(hold.runs) };
  return hold.underWay;
}

function outcomeOfChild(id: TaskId): ReportOutcome {
  if (/[0347]\.second$/.test(id)) return { kind: "failed", error: { code: "node_failed", message: "No.", retryable: false } };
  return { kind: "succeeded", output: { kind: "inline", json: JSON.stringify(id) } };
}

function outcomeOf({ runs, inbox }: Hold, now: number): ReportOutcome {
  const waits = nodes.filter((node) => runs.get(node) === "waiting");
  if (waits.length > 0) {
    const since = { since: now, reason: "It waits for another task." };
    const seen = inbox.at(-1)?.seq ?? 0;
    return { kind: "wait", waits: waits.map((node) => ({ kind: "child", node, ...since })), waitCount: waits.length, seen };
  }
  return { kind: "succeeded", output: { kind: "inline", json: JSON.stringify(nodes.map((node) => runs.get(node))) } };
}

function sweep(world: World): void {
  for (const [id, { task }] of world.store) {
    if ((wakeAt(task) ?? Number.POSITIVE_INFINITY) <= world.now)
      call(world, { to: "scheduler", id, event: { kind: "wake", room: true } });
  }
}

/** Nothing is lost any more, nobody dies: everything sent arrives, due looks are taken, held tasks are worked on. */
function settleDown(world: World): void {
  for (let turn = 0; turn < 5_000; turn++) {
    for (const [id, { task }] of world.store) {
      if (task.state === "queued" && task.queueing.kind === "backlog")
        call(world, { to: "scheduler", id, event: { kind: "ticket" } });
    }
    for (const hold of world.holds) world.letters.push(work(world, hold));
    sweep(world);
    for (let draft = world.drafts.shift(), letter = world.letters.shift(); draft ?? letter; ) {
      if (draft !== undefined) write(world, draft);
      if (letter !== undefined) arrive(world, letter, 1);
      draft = world.drafts.shift();
      letter = world.letters.shift();
    }
    const dues = [...world.store.values()].map(({ task }) => wakeAt(task)).filter((due) => due !== undefined);
    if (dues.length === 0) return;
    if (world.holds.length === 0) world.now = Math.max(world.now, Math.min(...dues));
  }
  throw new Error("the world never comes to rest");
}

type Act = readonly [name: string, at: number, by: number];
const acts = fc.array(
  fc.tuple(
    fc.constantFrom(
      ...["submit", "deliver", "deliver", "deliver", "deliver", "write", "write", "write", "write", "work", "work", "work"],
      ...["lose", "double", "schedulerDies", "executorDies", "heartbeat", "release", "pass", "sweep", "cancel"],
    ),
    fc.nat(1_000),
    fc.nat(1_000),
  ),
  { maxLength: 160, size: "max" },
);

function take<T>(list: T[], at: number): T | undefined {
  return list.length === 0 ? undefined : list.splice(at % list.length, 1)[0];
}

function happen(world: World, [name, at, by]: Act): void {
  const hold = world.holds[at % Math.max(1, world.holds.length)];
  const letter =
    name === "deliver" || name === "lose" ? take(world.letters, at) : world.letters[at % Math.max(1, world.letters.length)];
  const draft = name === "write" || name === "schedulerDies" ? take(world.drafts, at) : undefined;
  if (name === "submit" && world.store.size < 30) submit(world, `t${world.store.size}`, {});
  if (name === "deliver" && letter !== undefined) arrive(world, letter, by);
  if (name === "write" && draft !== undefined) write(world, draft);
  if (name === "work" && hold !== undefined) world.letters.push(work(world, hold));
  if (name === "double" && letter !== undefined) world.letters.push(letter);
  if (name === "executorDies") world.holds = world.holds.filter(({ executor }) => executor !== `E${by % 3}`);
  if ((name === "heartbeat" || name === "release") && hold !== undefined) {
    const { id, executor, attempt } = hold;
    world.letters.push({ to: "scheduler", id, event: { kind: name, executor, attempt } });
  }
  if (name === "pass") world.now += (by + 1) * 45;
  if (name === "sweep") sweep(world);
  const [id] = [...world.store.keys()].slice(at % Math.max(1, world.store.size));
  if (name === "cancel" && by % 4 === 0 && id !== undefined)
    call(world, { to: "scheduler", id, event: { kind: "cancel", reason: "" } });
}

const totals = { waited: 0, succeeded: 0, failed: 0, cancelled: 0 };
test("whatever is lost, doubled or dies, a task hears how each task ended that it waits for, and their ends follow its own", () => {
  fc.assert(
    fc.property(acts, (todo) => {
      const world: World = { now: t0, store: new Map(), runs: new Map(), letters: [], drafts: [], holds: [] };
      for (const act of todo) happen(world, act);
      settleDown(world);
      for (const { task } of world.store.values()) {
        // Nothing was slept through: only the deadline would have brought it back.
        expect(["succeeded", "failed", "cancelled"]).toContain(task.state);
        expect(task.owes).toStrictEqual([]);
        if (task.parent !== undefined) continue;
        if (task.state === "cancelled") totals.cancelled++;
        if (task.state !== "succeeded" || task.output.kind !== "inline") continue;
        totals.succeeded++;
        const children = nodes.map((node) => world.store.get(`${task.id}.${node}`)?.task);
        const expected = children.map((child) => {
          if (child?.state !== "succeeded") totals.failed++;
          return child?.state === "succeeded" ? JSON.stringify(child.id) : `failed: ${child?.state}`;
        });
        expect(JSON.parse(task.output.json)).toStrictEqual(expected);
        if (task.attempt > 1) totals.waited++;
      }
    }),
    { numRuns: 400 },
  );
  // The world was a lively one, or nothing was shown.
  for (const count of Object.values(totals)) expect(count).toBeGreaterThan(30);
});
