import {
  type Change,
  type Decision,
  type Effect,
  isEnded,
  LonghaulError,
  type NodeRun,
  type Refusal,
  type Rules,
  type Stored,
  type Task,
  type TaskEvent,
  type TaskKey,
  type TaskStore,
  transition,
  wakeAt,
} from "@longhaul/core";
import type { HeaderCache } from "./header-cache.ts";

/** One event for one task. `nodeRuns` are written together with what the event changes, and only then. */
export interface Entry {
  readonly key: TaskKey;
  readonly event: TaskEvent | ((task: Task) => TaskEvent);
  readonly nodeRuns?: (task: Task) => readonly NodeRun[];
}

export type Outcome =
  | { readonly kind: "changed"; readonly before: Task; readonly task: Task }
  | { readonly kind: "refused"; readonly why: Refusal; readonly task: Task }
  | { readonly kind: "missing" };

/** What is asked for, and the task as it is stored now. */
export interface TaskEffect {
  readonly task: Task;
  readonly effect: Effect;
}

/** Hears of what was stored; must not throw. */
export interface LedgerListener {
  /** After a change is durable. */
  changed(task: Task, before: Task | undefined): void;
  /** What the decisions ask for, in order. */
  effects(effects: readonly TaskEffect[]): void;
  /** The store will owe somebody a look at this time. */
  wakeAt(partition: number, at: number): void;
}

export interface Ledger {
  /** Applies each event to its task by compare-and-set; outcomes in the order of the entries. One entry per task and call. */
  apply(entries: readonly Entry[]): Promise<readonly Outcome[]>;
  /** Tells that new tasks are durably stored. */
  inserted(tasks: readonly Task[]): void;
}

/** How often a task may change under our hands before we give up; each round means that somebody else got on. */
const maxRounds = 8;

interface Open {
  readonly at: number;
  readonly entry: Entry;
  found: Stored | undefined;
  /** The header came from the store in this call, not from the cache. */
  fresh: boolean;
}

/** Where decisions of the core meet the store: read, decide, compare and set, and then let the effects out. */
export function ledger(
  deps: { readonly store: TaskStore; readonly cache: HeaderCache; readonly rules: Rules; readonly now: () => number },
  listener: LedgerListener,
): Ledger {
  const { store, cache, rules, now } = deps;

  const remember = (stored: Stored): void => {
    if (isEnded(stored.task) && stored.task.owes.length === 0) cache.drop(stored.task.id);
    else cache.put(stored);
  };

  async function read(open: readonly Open[]): Promise<void> {
    const missing = open.filter((one) => {
      if (one.found !== undefined) return false;
      const cached = cache.get(one.entry.key.id);
      // The cache is keyed by id alone; a foreign project must not find what it may not see.
      if (cached !== undefined && cached.task.project === one.entry.key.project) one.found = cached;
      return one.found === undefined;
    });
    if (missing.length > 0) await reread(missing);
  }

  async function reread(open: readonly Open[]): Promise<void> {
    const found = await store.get(open.map((one) => one.entry.key));
    open.forEach((one, i) => {
      one.found = found[i];
      one.fresh = true;
    });
  }

  function tell(change: Change, before: Task): void {
    remember({ task: change.next, rev: change.rev + 1 });
    const at = wakeAt(change.next);
    if (at !== undefined) listener.wakeAt(change.next.partition, at);
    listener.changed(change.next, before);
  }

  return {
    inserted(tasks) {
      for (const task of tasks) {
        cache.put({ task, rev: 0 });
        const at = wakeAt(task);
        if (at !== undefined) listener.wakeAt(task.partition, at);
        listener.changed(task, undefined);
      }
    },

    async apply(entries) {
      const outcomes: Outcome[] = new Array<Outcome>(entries.length).fill({ kind: "missing" });
      let open: Open[] = entries.map((entry, at) => ({ at, entry, found: undefined, fresh: false }));

      for (let round = 0; open.length > 0; round++) {
        if (round === maxRounds) throw new LonghaulError("conflict", "the task kept changing; try again");
        await read(open);
        const refused: Open[] = [];
        const changes: {
          readonly one: Open;
          readonly change: Change;
          readonly before: Task;
          readonly effects: readonly Effect[];
        }[] = [];
        for (const one of open) {
          const { found } = one;
          if (found === undefined) continue;
          const event = typeof one.entry.event === "function" ? one.entry.event(found.task) : one.entry.event;
          const decision: Decision = transition(found.task, event, now(), rules);
          if (!decision.ok) {
            // A refusal is only said on what the store says: the cache may be behind another scheduler.
            if (one.fresh) outcomes[one.at] = { kind: "refused", why: decision.why, task: found.task };
            else refused.push(one);
            continue;
          }
          const nodeRuns = one.entry.nodeRuns?.(decision.next);
          const change: Change = { next: decision.next, rev: found.rev, ...(nodeRuns === undefined ? {} : { nodeRuns }) };
          changes.push({ one, change, before: found.task, effects: decision.effects });
        }

        const results = changes.length === 0 ? [] : await store.replace(changes.map(({ change }) => change));
        const effects: TaskEffect[] = [];
        const again: Open[] = refused;
        changes.forEach(({ one, change, before, effects: wanted }, i) => {
          if (results[i] === "replaced") {
            outcomes[one.at] = { kind: "changed", before, task: change.next };
            tell(change, before);
            for (const effect of wanted) effects.push({ task: change.next, effect });
          } else {
            again.push(one);
          }
        });
        if (effects.length > 0) listener.effects(effects);
        for (const one of again) {
          cache.drop(one.entry.key.id);
          one.found = undefined;
          one.fresh = false;
        }
        if (again.length > 0) await reread(again);
        open = again;
      }
      return outcomes;
    },
  };
}
