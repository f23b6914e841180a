import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptTask } from "./accept.ts";
import type { TaskEvent } from "./events.ts";
import { defaultRules } from "./rules.ts";
import { freeSlots, holdsSlots, mayFreeSlot } from "./slots.ts";
import { isEnded, type Task } from "./task.ts";
import { transition } from "./transition.ts";
import { wakeAt } from "./wake.ts";

// Limits and schedulers around the core: each taking, freeing and granting is its own step, any of them may be the last that its scheduler makes,
// and whoever decides may do so on what it saw long ago.

const rules = { ...defaultRules, maxTries: 3 };
const t0 = 1_700_000_000_000;
const keys = ["a", "b"];

interface World {
  now: number;
  readonly tasks: Map<string, Task>;
  readonly concurrency: Record<string, number>;
  /** By key: who has a slot, as `task hold`. */
  readonly book: Record<string, Set<string>>;
  /** What schedulers remember of tasks that they read, and what they believe they took; they may act on it at any later time. */
  readonly seen: Task[];
  readonly drafts: { readonly id: string; readonly hold: number; readonly taken: string[] }[];
}

const slot = (id: string, hold: number): string => `${id} ${hold}`;

function apply(world: World, id: string, event: TaskEvent): Task | undefined {
  const task = world.tasks.get(id);
  if (task === undefined) return undefined;
  const decision = transition(task, event, world.now, rules);
  if (!decision.ok) return undefined;
  world.tasks.set(id, decision.next);
  return decision.next;
}

type Act = (world: World) => void;
const at = fc.nat(99);
const pick = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(1, list.length)];

/** What happens to tasks from outside. */
const life: fc.Arbitrary<Act> = fc
  .record({
    index: at,
    what: fc.constantFrom(
      "claim",
      "claim",
      "claim",
      "succeeded",
      "wait",
      "backoff",
      "arrive",
      "cancel",
      "orphan",
      "release",
      "lower",
      "raise",
      "time",
    ),
  })
  .map(
    ({ index, what }): Act =>
      (world) => {
        const task = pick([...world.tasks.values()], index);
        if (task === undefined) return;
        const { attempt, report, id } = task;
        const told = { kind: "report" as const, executor: "A", attempt, number: report + 1, results: 1 };
        const key = keys[index % 2] ?? "";
        switch (what) {
          case "claim":
            return void apply(world, id, { kind: "claim", executor: "A", attempt });
          case "succeeded":
            return void apply(world, id, { ...told, outcome: { kind: "succeeded", output: { kind: "inline", json: "1" } } });
          case "wait": {
            const waits = [
              { kind: "timer" as const, node: "n", since: world.now, until: world.now + 100_000, reason: "It waits." },
            ];
            return void apply(world, id, { ...told, outcome: { kind: "wait", waits, waitCount: 1, seen: 99 } });
          }
          case "backoff":
            return void apply(world, id, { ...told, outcome: { kind: "backoff", delayMs: 100, node: "n" } });
          case "arrive":
            return void apply(world, id, {
              kind: "arrive",
              node: "n",
              by: "",
              payload: { kind: "inline", json: "1" },
              once: true,
            });
          case "cancel":
            return index % 5 === 0 ? void apply(world, id, { kind: "cancel", reason: "" }) : undefined;
          case "orphan":
            return void apply(world, id, { kind: "orphan", room: true });
          case "release":
            return void apply(world, id, { kind: "release", executor: "A", attempt });
          case "lower":
            world.concurrency[key] = Math.max(1, (world.concurrency[key] ?? 1) - 1);
            return;
          case "raise":
            world.concurrency[key] = Math.min(4, (world.concurrency[key] ?? 1) + 1);
            return;
          default:
            world.now += 50;
            for (const due of world.tasks.values())
              if ((wakeAt(due) ?? t0 * 2) <= world.now) apply(world, due.id, { kind: "wake", room: true });
        }
      },
  );

/** One step of a scheduler. */
const step: fc.Arbitrary<Act> = fc
  .record({ index: at, what: fc.constantFrom("see", "begin", "take", "take", "grant", "pass", "free", "repair") })
  .map(
    ({ index, what }): Act =>
      (world) => {
        const task = pick([...world.tasks.values()], index);
        const draft = pick(world.drafts, index);
        switch (what) {
          case "see":
            if (task !== undefined) world.seen.push(task);
            return;
          case "begin": {
            const old = index % 3 === 0 ? pick(world.seen, index) : task;
            if (old?.state === "queued" && old.queueing.kind === "limited")
              world.drafts.push({ id: old.id, hold: old.hold ?? 0, taken: [] });
            return;
          }
          case "take":
            if (draft !== undefined) take(world, draft);
            return;
          case "grant":
            if (draft !== undefined && keys.every((key) => draft.taken.includes(key)))
              apply(world, draft.id, { kind: "grant", hold: draft.hold, room: index % 2 === 0 });
            return;
          case "pass":
            if (draft !== undefined && draft.taken.length < keys.length)
              apply(world, draft.id, { kind: "pass", hold: draft.hold, key: keys[draft.taken.length] ?? "" });
            return;
          case "free": {
            // On any copy of the task, however old.
            const copy = pick(world.seen, index);
            if (copy !== undefined) free(world, copy.id, copy);
            return;
          }
          default:
            if (task !== undefined) free(world, task.id, task);
        }
      },
  );

function take(world: World, draft: World["drafts"][number]): void {
  const key = keys[draft.taken.length];
  const book = key === undefined ? undefined : world.book[key];
  if (key === undefined || book === undefined) return;
  const mine = slot(draft.id, draft.hold);
  if (!book.has(mine)) {
    const other = [...book].some((held) => held.startsWith(`${draft.id} `));
    if (other || freeSlots(world.concurrency[key] ?? 0, book.size) === 0) return;
    book.add(mine);
  }
  draft.taken.push(key);
}

function free(world: World, id: string, copy: Task | undefined): void {
  for (const key of keys)
    for (const held of world.book[key] ?? []) {
      const [owner, hold] = held.split(" ");
      if (owner === id && mayFreeSlot(copy, Number(hold))) world.book[key]?.delete(held);
    }
}

function check(world: World, most: Record<string, number>): void {
  for (const key of keys) {
    const holding = [...world.tasks.values()].filter(holdsSlots);
    // Who counts has a slot, and there are never more slots than the limit was while they were taken.
    for (const task of holding) expect(world.book[key]?.has(slot(task.id, task.hold ?? 0))).toBe(true);
    expect(world.book[key]?.size ?? 0).toBeLessThanOrEqual(most[key] ?? 0);
    // Who may hold a slot is never out of sight: it is live, or owes it.
    for (const task of world.tasks.values()) {
      const isOwed = task.owes.some((debt) => debt.kind === "slots");
      if (holdsSlots(task)) expect(isEnded(task)).toBe(false);
      else if (task.hold !== undefined && task.attempt > 0 && !isOwed && !isEnded(task)) expect(wakeAt(task)).toBeDefined();
    }
  }
}

/** Everybody comes back to their senses: debts are paid, halfway grants are finished. */
function calm(world: World): void {
  for (let round = 0; round < 500; round++) {
    world.now += 10_000;
    for (const task of [...world.tasks.values()]) {
      free(world, task.id, task);
      for (const debt of task.owes) apply(world, task.id, { kind: "settle", key: debt.key });
      if ((wakeAt(task) ?? t0 * 2) <= world.now) apply(world, task.id, { kind: "wake", room: true });
    }
    for (const task of [...world.tasks.values()]) {
      if (task.state === "queued" && task.queueing.kind === "limited") {
        const draft = { id: task.id, hold: task.hold ?? 0, taken: [] };
        for (const _ of keys) take(world, draft);
        if (draft.taken.length === keys.length) apply(world, task.id, { kind: "grant", hold: draft.hold, room: true });
        else apply(world, task.id, { kind: "pass", hold: draft.hold, key: keys[draft.taken.length] ?? "" });
      }
      const { attempt, report } = world.tasks.get(task.id) ?? task;
      const outcome = { kind: "succeeded" as const, output: { kind: "inline" as const, json: "1" } };
      apply(world, task.id, { kind: "claim", executor: "A", attempt });
      apply(world, task.id, { kind: "report", executor: "A", attempt: attempt + 1, number: 1, results: 1, outcome });
      apply(world, task.id, { kind: "report", executor: "A", attempt, number: report + 1, results: 1, outcome });
    }
  }
}

test("whatever schedulers do and forget, a limit is never exceeded, no slot is lost and no task is forgotten", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(life, step, step), { minLength: 20, maxLength: 250 }),
      fc.integer({ min: 1, max: 3 }),
      (acts, n) => {
        const world: World = {
          now: t0,
          tasks: new Map(),
          concurrency: { a: n, b: 2 },
          book: { a: new Set(), b: new Set() },
          seen: [],
          drafts: [],
        };
        for (let index = 0; index < 6; index++) {
          const submission = {
            ...{ id: `t${index}`, project: "p", workflow: "w", revision: 1, text: "", labels: {}, priority: 0 },
            ...{ input: { kind: "inline", json: "1" } as const, deadline: t0 * 2, limitKeys: keys },
          };
          world.tasks.set(submission.id, acceptTask(submission, t0, true, rules));
        }
        for (const act of acts) {
          const before = Object.fromEntries(keys.map((key) => [key, world.book[key]?.size ?? 0]));
          act(world);
          check(world, Object.fromEntries(keys.map((key) => [key, Math.max(before[key] ?? 0, world.concurrency[key] ?? 0)])));
        }
        calm(world);
        expect([...world.tasks.values()].filter((task) => !isEnded(task)).map((task) => [task.id, task.state])).toEqual([]);
        for (const key of keys) expect(world.book[key]?.size).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});
