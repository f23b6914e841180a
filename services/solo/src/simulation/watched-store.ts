import { holdsSlots, isEnded, isResult, type Task, type TaskStore } from "@longhaul/core";
import { concurrencyOf } from "./simulated-workflows.ts";

/** What was seen to be stored, and every rule that was broken. */
export interface StoreLog {
  readonly tasks: Map<string, Task>;
  readonly endings: Map<string, number>;
  /** `task/path` of nodes whose result is stored. */
  readonly succeededNodes: Set<string>;
  /** `task/path` of nodes that have ended in any way. */
  readonly endedNodes: Set<string>;
  readonly broken: string[];
}

/** A fault of the store itself, to prove that it would be noticed. */
export type Sabotage = "none" | "ignores-revisions" | "forgets-tasks" | "forgets-debts";

const endingOf = (task: Task): string =>
  isEnded(task) ? JSON.stringify([task.state, task.endTime, "output" in task ? task.output : task.error, task.attempt]) : "";

/** A store that watches over what must be true of every write, whoever makes it. */
export function watchedStore(good: TaskStore, sabotage: Sabotage): { readonly store: TaskStore; readonly log: StoreLog } {
  const log: StoreLog = { tasks: new Map(), endings: new Map(), succeededNodes: new Set(), endedNodes: new Set(), broken: [] };

  const store = sabotaged(good, sabotage);
  const watched: TaskStore = {
    ...store,
    async insert(tasks) {
      const results = await store.insert(tasks);
      tasks.forEach((task, i) => {
        if (results[i] === "inserted") log.tasks.set(task.id, task);
      });
      return results;
    },
    async replace(changes) {
      const results = await store.replace(changes);
      changes.forEach(({ next, nodeRuns = [] }, i) => {
        if (results[i] !== "replaced") return;
        const before = log.tasks.get(next.id);
        log.tasks.set(next.id, next);
        if (before === undefined) {
          log.broken.push(`${next.id} was changed before it was there`);
          return;
        }
        if (isEnded(before) && endingOf(before) !== endingOf(next)) log.broken.push(`${next.id} changed its ending`);
        if (!isEnded(before) && isEnded(next)) log.endings.set(next.id, (log.endings.get(next.id) ?? 0) + 1);
        if (next.attempt < before.attempt) log.broken.push(`${next.id} went back to an earlier attempt`);
        if (next.attempt === before.attempt && next.report < before.report)
          log.broken.push(`${next.id} went back to an earlier report`);
        if (holdsSlots(next) && !holdsSlots(before)) {
          const alike = [...log.tasks.values()].filter(
            ({ project, workflow }) => project === next.project && workflow === next.workflow,
          );
          const holding = alike.filter(holdsSlots).length;
          if (holding > concurrencyOf(next.workflow))
            log.broken.push(`${holding} tasks of ${next.workflow} run at the same time`);
        }
        if (forgotArrivals(before, next)) log.broken.push(`${next.id} lost something that arrived and that no report consumed`);
        for (const run of nodeRuns) {
          if (before.state !== "running" || run.attempt !== before.attempt)
            log.broken.push(`${next.id} ${run.path} was reported by somebody who does not hold it`);
          if (log.endedNodes.has(`${next.id}/${run.path}`)) log.broken.push(`${next.id} ${run.path} was run after it had ended`);
          if (isResult(run.state)) log.endedNodes.add(`${next.id}/${run.path}`);
          if (run.state === "succeeded") log.succeededNodes.add(`${next.id}/${run.path}`);
        }
      });
      return results;
    },
  };
  return { store: watched, log };
}

/** What arrived leaves only with a report that says so, or with the end of the task. */
function forgotArrivals(before: Task, next: Task): boolean {
  if (isEnded(next) || next.report > before.report) return false;
  const kept = new Set(next.inbox?.map(({ seq }) => seq));
  return before.inbox?.some(({ seq }) => !kept.has(seq)) ?? false;
}

function sabotaged(store: TaskStore, sabotage: Sabotage): TaskStore {
  let count = 0;
  switch (sabotage) {
    case "none":
      return store;
    case "ignores-revisions":
      return {
        ...store,
        async replace(changes) {
          const now = await store.get(changes.map(({ next: { project, id } }) => ({ project, id })));
          return store.replace(changes.map((change, i) => ({ ...change, rev: now[i]?.rev ?? change.rev })));
        },
      };
    case "forgets-tasks":
      return {
        ...store,
        async insert(tasks) {
          count++;
          return count % 10 === 0 ? tasks.map(() => "inserted") : store.insert(tasks);
        },
      };
    case "forgets-debts":
      return {
        ...store,
        replace: (changes) =>
          store.replace(
            changes.map((change) => (isEnded(change.next) ? { ...change, next: { ...change.next, owes: [] } } : change)),
          ),
      };
  }
}
