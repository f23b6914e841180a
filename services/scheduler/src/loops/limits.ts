import {
  freeSlots,
  gatherCalls,
  type Live,
  mayFreeSlot,
  partitionCount,
  partitionOf,
  type ResourceStore,
  type Slot,
  type StoredResource,
  type Task,
  type TaskStore,
} from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import type { Entry, Ledger, Outcome } from "../ledger/ledger.ts";
import type { LimitSettings } from "../limits/limit-settings.ts";
import { type Hold, keyOfPart, type SlotBook, slotLookMs } from "../limits/slot-book.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { type DueResources, dueResources } from "./due-resources.ts";

export interface LimitDeps {
  readonly store: Pick<TaskStore, "get" | "listLimited" | "countLimited">;
  readonly resources: Pick<ResourceStore, "listDue" | "nextDue">;
  readonly book: SlotBook;
  readonly settings: LimitSettings;
  readonly ledger: () => Ledger;
  readonly dispatcher: Pick<Dispatcher, "reserve" | "unreserve">;
  readonly live: Live;
  readonly log: Logger;
  readonly now: () => number;
}

/** Gives slots of limits to the tasks that wait for them, and takes back what they leave. */
export interface Limits extends Pick<DueResources, "start" | "stop" | "own"> {
  /** There may be a slot of this limit, or somebody new who waits for one. Whoever looks after the project hears of it. */
  ring(project: string, key: string): void;
  /** A task changed: it may wait for a slot from now on. */
  changed(task: Task, before: Task | undefined): void;
  /** Frees what the task took for this hold and earlier ones. */
  free(task: Task, hold: number): Promise<void>;
  /** A limit was stored or deleted: resolves when nobody takes a slot by what it was before. */
  announce(project: string, key: string): Promise<void>;
}

/** Subject on which schedulers tell each other of limits. */
const subject = "limits";
const batch = 256;

/** A waiting task, and how far it has come. */
interface Candidate {
  readonly task: Task;
  readonly hold: number;
  readonly taken: string[];
  lacking: string | undefined;
}

export function limits(deps: LimitDeps): Limits {
  const { store, book, settings, dispatcher, live, log, now } = deps;
  const isOwned = new Array<boolean>(partitionCount).fill(false);
  /** Limits that are looked at now; true when a bell rang meanwhile. */
  const looking = new Map<string, boolean>();
  const underWay = new Set<Promise<void>>();
  let stopped = true;
  let listening: { close(): void } | undefined;
  const loop = dueResources({
    kind: "slots",
    store: deps.resources,
    handle: repair,
    now,
    lookMs: slotLookMs,
    log,
  });

  async function concurrencyOf(project: string, key: string): Promise<number> {
    return (await settings.settingOf(project, key))?.concurrency ?? Number.POSITIVE_INFINITY;
  }

  function ring(project: string, key: string): void {
    if (isOwned[partitionOf(project)] === true) startLook(project, key);
    else live.publish(subject, { project, key });
  }

  function startLook(project: string, key: string): void {
    if (stopped) return;
    const name = JSON.stringify([project, key]);
    if (looking.has(name)) {
      looking.set(name, true);
      return;
    }
    looking.set(name, false);
    const done = lookWhileRung(project, key, name).finally(() => looking.delete(name));
    track(done, { project, limit: key });
  }

  function track(work: Promise<void>, about: { readonly project?: string; readonly limit?: string }): void {
    const done = work
      .catch((why: unknown) => log.warn({ ...about, err: why }, "a limit was not looked at; it will be"))
      .finally(() => underWay.delete(done));
    underWay.add(done);
  }

  /** Looks at the limits in use before their time; at more than one group of them in their time. */
  async function catchUp(partitions: readonly number[]): Promise<void> {
    for (const used of await deps.resources.listDue("slots", partitions, now() + 2 * slotLookMs, batch)) {
      if (stopped) return;
      await repair(used);
    }
  }

  async function lookWhileRung(project: string, key: string, name: string): Promise<void> {
    do {
      looking.set(name, false);
      await look(project, key);
    } while (looking.get(name) === true && !stopped);
  }

  async function look(project: string, key: string): Promise<void> {
    for (;;) {
      const used = (await book.read(project, key)).length;
      const limit = Math.min(batch, freeSlots(await concurrencyOf(project, key), used));
      const waiting = limit === 0 ? [] : await store.listLimited(project, key, limit);
      if (
        waiting.length === 0 ||
        (await grant(
          project,
          waiting.map(({ task }) => task),
        )) === 0 ||
        stopped
      )
        return;
    }
  }

  /** All or nothing for each task, in the order given; limits in the order of their keys. Answers for how many something changed. */
  async function grant(project: string, tasks: readonly Task[]): Promise<number> {
    const all = tasks.map((task): Candidate => ({ task, hold: task.hold ?? 0, taken: [], lacking: undefined }));
    for (const key of [...new Set(tasks.flatMap(({ limitKeys = [] }) => limitKeys))].sort()) {
      const wanting = all.filter(({ task, lacking }) => lacking === undefined && task.limitKeys?.includes(key) === true);
      if (wanting.length === 0) continue;
      const has = await book.take(project, key, wanting.map(holdOf), () => concurrencyOf(project, key));
      for (const one of wanting) {
        if (has.has(one.task.id)) one.taken.push(key);
        else one.lacking = key;
      }
    }
    const moved = await Promise.all([
      letGo(all.filter(({ lacking }) => lacking === undefined)),
      // Who has a slot of one and none of the other gives it back, as soon as nobody can go on with it.
      passOn(all.filter(({ task, taken, lacking }) => lacking !== undefined && (taken.length > 0 || lacking !== keyOf(task)))),
    ]);
    return moved[0] + moved[1];
  }

  async function letGo(ready: readonly Candidate[]): Promise<number> {
    if (ready.length === 0) return 0;
    const entries = ready.map(({ task, hold }): Entry => {
      const room = dispatcher.reserve(task.partition);
      return { key: { project: task.project, id: task.id }, event: { kind: "grant", hold, room } };
    });
    let outcomes: readonly Outcome[] = [];
    try {
      outcomes = await deps.ledger().apply(entries);
    } finally {
      entries.forEach(({ event }, at) => {
        const outcome = outcomes[at];
        const isOut = outcome?.kind === "changed" && outcome.task.state === "queued" && outcome.task.queueing.kind === "ticketed";
        const partition = ready[at]?.task.partition;
        if (typeof event === "object" && event.kind === "grant" && event.room && !isOut && partition !== undefined)
          dispatcher.unreserve(partition);
      });
    }
    return settle(ready, outcomes);
  }

  async function passOn(without: readonly Candidate[]): Promise<number> {
    if (without.length === 0) return 0;
    const entries = without.map(
      ({ task, hold, lacking = "" }): Entry => ({
        key: { project: task.project, id: task.id },
        event: { kind: "pass", hold, key: lacking },
      }),
    );
    return settle(without, await deps.ledger().apply(entries));
  }

  /** What was taken for a hold that did not come about is freed; what the store says of the task decides. Answers how many changed. */
  async function settle(candidates: readonly Candidate[], outcomes: readonly Outcome[]): Promise<number> {
    const freed = candidates.flatMap(({ task, hold, taken }, at) => {
      const outcome = outcomes[at];
      if (outcome === undefined || !mayFreeSlot(outcome.kind === "missing" ? undefined : outcome.task, hold)) return [];
      return taken.map((key) => freeOne({ project: task.project, key, taskId: task.id, hold }));
    });
    await Promise.all(freed);
    return outcomes.filter(({ kind }) => kind === "changed").length;
  }

  const freeOne = gatherCalls<Hold & { readonly project: string; readonly key: string }, undefined>(
    async (items) => {
      const groups = new Map<string, { readonly project: string; readonly key: string; readonly holds: Hold[] }>();
      for (const { project, key, taskId, hold } of items) {
        const name = JSON.stringify([project, key]);
        const group = groups.get(name) ?? { project, key, holds: [] };
        group.holds.push({ taskId, hold });
        groups.set(name, group);
      }
      await Promise.all(
        [...groups.values()].map(async ({ project, key, holds }) => {
          await book.free(project, key, holds);
          ring(project, key);
        }),
      );
      return items.map(() => undefined);
    },
    // More at the same time would only get in each other's way.
    { maxUnderWay: 1 },
  );

  /** Compares who holds with what became of them. */
  async function repair({ resource }: StoredResource): Promise<void> {
    const { project } = resource;
    const key = keyOfPart(resource);
    const slots = await book.read(project, key);
    let freed = 0;
    for (let from = 0; from < slots.length; from += batch) freed += await compare(project, key, slots.slice(from, from + batch));
    if (freed > 0) log.warn({ project, limit: key, slots: freed }, "slots freed that nobody holds");
    await look(project, key);
    const isUsed = (await book.read(project, key)).length > 0 || (await store.countLimited(project, key, 1)) > 0;
    await book.setWake(project, key, isUsed ? now() + slotLookMs : undefined);
  }

  async function compare(project: string, key: string, slots: readonly Slot[]): Promise<number> {
    const found = await store.get(slots.map(({ taskId }) => ({ project, id: taskId })));
    const free = slots.filter(({ hold }, at) => mayFreeSlot(found[at]?.task, hold));
    // Somebody died on the way, or is still at it: whoever goes on with it comes to the same.
    const halfway = found.flatMap((one) => (one !== undefined && isLimited(one.task) ? [one.task] : []));
    if (halfway.length > 0) await grant(project, halfway);
    return free.length === 0 ? 0 : await book.free(project, key, free);
  }

  function hear(message: unknown): void {
    if (message === null || typeof message !== "object" || !("project" in message) || !("key" in message)) return;
    const { project, key } = message;
    if (typeof project !== "string" || typeof key !== "string") return;
    if ("changed" in message) settings.forget(project);
    if (isOwned[partitionOf(project)] === true) startLook(project, key);
  }

  return {
    start() {
      stopped = false;
      listening = live.subscribe(subject, hear);
      loop.start();
    },
    async stop() {
      stopped = true;
      listening?.close();
      await loop.stop();
      await Promise.all(underWay);
    },
    own(partitions) {
      const gained = [...partitions].filter((partition) => isOwned[partition] !== true);
      isOwned.forEach((_, partition) => {
        isOwned[partition] = partitions.has(partition);
      });
      loop.own(partitions);
      // Whoever looked after them before may have died between two writes.
      if (gained.length > 0 && !stopped) track(catchUp(gained), {});
    },
    ring,
    changed(task, before) {
      if (task.limitKeys === undefined || !isLimited(task)) return;
      const key = keyOf(task);
      if (key !== undefined && (before === undefined || keyOf(before) !== key)) ring(task.project, key);
    },
    async free({ id, project, limitKeys = [] }, hold) {
      await Promise.all(limitKeys.map((key) => freeOne({ project, key, taskId: id, hold })));
    },
    async announce(project, key) {
      settings.forget(project);
      live.publish(subject, { project, key, changed: true });
      await book.touch(project, key);
      ring(project, key);
    },
  };
}

function holdOf({ task, hold }: Candidate): Hold {
  return { taskId: task.id, hold };
}

function isLimited(task: Task): boolean {
  return keyOf(task) !== undefined;
}

/** The limit that a task waits for. */
function keyOf(task: Task): string | undefined {
  return task.state === "queued" && task.queueing.kind === "limited" ? task.queueing.key : undefined;
}
