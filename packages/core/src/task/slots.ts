import type { Decision, Effect, TaskEvent } from "./events.ts";
import type { Rules } from "./rules.ts";
import { type Debt, isEnded, type QueuedTask, type Queueing, type Task, type TaskId } from "./task.ts";

// A task with limits takes a slot of each of them before its ticket and has them until it ends, waits, or pauses before another try. A lost
// lease and a hand-back keep them: the next attempt goes on in their place. Every wait for slots has a number, `hold`, that only rises, and a
// slot is taken in its name. From the moment that the task has left that wait or the hold that followed from it, it never comes back under the
// same number: so whoever sees that a slot may be freed may free it at any later time, and nobody needs a lock.

type Accepted = Extract<Decision, { ok: true }>;
type Limited = Extract<Queueing, { kind: "limited" }>;

/** A place in a limit, taken for one hold of one task. */
export interface Slot {
  readonly taskId: TaskId;
  readonly hold: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** True while the task counts against its limits. */
export function holdsSlots(task: Task): boolean {
  if (task.limitKeys === undefined) return false;
  return task.state === "running" || (task.state === "queued" && isBehindSlots(task.queueing));
}

/**
 * True when a slot taken for this hold can be given to others: the task is gone, or has left that hold. Once true it stays true, so it may be
 * decided on a copy of the task that is not the latest.
 */
export function mayFreeSlot(task: Task | undefined, hold: number): boolean {
  if (task === undefined) return true;
  const { hold: current = 0 } = task;
  if (current !== hold) return current > hold;
  return !holdsSlots(task) && !(task.state === "queued" && task.queueing.kind === "limited");
}

/** How many waiting tasks can have a slot. Those that hold one keep it when the limit is lowered. */
export function freeSlots(concurrency: number, used: number): number {
  return Math.max(0, concurrency - used);
}

/** The wait for slots, as the beginning of it or after a number of looks. */
export function limited(keys: readonly string[], now: number, looks: number, rules: Rules): Limited {
  return limitedBy(keys[0] ?? "", now, looks, rules);
}

function limitedBy(key: string, now: number, looks: number, rules: Rules): Limited {
  return { kind: "limited", key, until: now + Math.min(rules.slotMaxMs, rules.slotMs * 2 ** looks), looks };
}

/** Its turn may have gone unnoticed. */
export function lookForSlots(task: QueuedTask, { key, looks }: Limited, now: number, rules: Rules): Accepted {
  const next: QueuedTask = { ...task, queueing: limitedBy(key, now, looks + 1, rules) };
  return { ok: true, next, effects: [{ kind: "look", project: task.project, key }] };
}

/** Waits on, for another limit perhaps; what was taken for it so far is nobody's from now on. */
export function pass(task: Task, event: Extract<TaskEvent, { kind: "pass" }>, now: number, rules: Rules): Decision {
  if (isEnded(task)) return { ok: false, why: "ended" };
  if (task.state !== "queued" || task.queueing.kind !== "limited" || task.hold !== event.hold)
    return { ok: false, why: "nothing-due" };
  const queueing = limitedBy(event.key, now, task.queueing.looks, rules);
  return { ok: true, next: { ...task, version: task.version + 1, hold: event.hold + 1, queueing }, effects: [] };
}

/** What a decision about a task with limits means for its slots. */
export function withSlots(before: Task, event: TaskEvent, decision: Accepted, now: number, rules: Rules): Accepted {
  const { next } = decision;
  if (holdsSlots(before)) return holdsSlots(next) ? decision : owing(before, decision, now, rules);
  if (event.kind !== "grant" && next.state === "queued" && isBehindSlots(next.queueing))
    return linedUp(next, decision, now, rules);
  if (!isEnded(next) || isEnded(before)) return decision;
  // An ending says anew what is owed.
  const kept = before.owes.filter((debt) => debt.kind === "slots");
  return kept.length === 0 ? decision : { ...decision, next: { ...next, owes: [...next.owes, ...kept] } };
}

function isBehindSlots({ kind }: Queueing): boolean {
  return kind === "backlog" || kind === "ticketed";
}

/** Out of the hold: its slots are owed until they are free. */
function owing(before: Task, { next, effects }: Accepted, now: number, rules: Rules): Accepted {
  const { hold = 0 } = before;
  const debt: Debt = { kind: "slots", key: `slots.${hold}`, hold, dueAt: now + rules.debtMs, failures: 0 };
  const owes = [...next.owes.filter((other) => other.kind !== "slots"), debt];
  return { ok: true, next: { ...next, owes }, effects: [...effects, { kind: "hand-over", debt }] };
}

/** Before its ticket it waits for slots. */
function linedUp(next: QueuedTask, { effects }: Accepted, now: number, rules: Rules): Accepted {
  const { limitKeys = [], hold = 0 } = next;
  const rest = effects.filter((effect: Effect) => effect.kind !== "ticket" && effect.kind !== "refill");
  return { ok: true, next: { ...next, hold: hold + 1, queueing: limited(limitKeys, now, 0, rules) }, effects: rest };
}
