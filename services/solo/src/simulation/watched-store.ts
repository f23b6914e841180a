import { isEnded, type Task, type TaskStore } from "@longhaul/core";

/** What was seen to be stored, and every rule that was broken. */
export interface StoreLog {
  readonly tasks: Map<string, Task>;
  readonly endings: Map<string, number>;
  /** `task/path` of nodes whose result is stored. */
  readonly succeededNodes: Set<string>;
  readonly broken: string[];
}

/** A fault of the store itself, to prove that it would be noticed. */
export type Sabotage = "none" | "ignores-revisions" | "forgets-tasks" | "forgets-debts";

const endingOf = (task: Task): string =>
  isEnded(task) ? JSON.stringify([task.state, task.endTime, "output" in task ? task.output : task.error, task.attempt]) : "";

/** A store that watches over what must be true of every write, whoever makes it. */
export function watchedStore(good: TaskStore, sabotage: Sabotage): { readonly store: TaskStore; readonly log: StoreLog } {
  const log: StoreLog = { tasks: new Map(), endings: new Map(), succeededNodes: new Set(), broken: [] };

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
        for (const run of nodeRuns) {
          if (before.state !== "running" || run.attempt !== before.attempt)
            log.broken.push(`${next.id} ${run.path} was reported by somebody who does not hold it`);
          if (run.state === "succeeded") log.succeededNodes.add(`${next.id}/${run.path}`);
        }
      });
      return results;
    },
  };
  return { store: watched, log };
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
