import type { Arrival, Change, NodeRun, Stored, Task, TaskKey, TaskStore } from "@longhaul/core";
import { type Connection, numberAt } from "./connection.ts";
import { listRows } from "./list-tasks.ts";
import type { Reader } from "./reader.ts";
import { taskRemoval } from "./remove-tasks.ts";
import { asStoreError } from "./store-error.ts";
import type { TaskCache } from "./task-cache.ts";
import {
  backlogMark,
  bodyRow,
  headOf,
  limitMark,
  nodeRunOf,
  nodeRunRow,
  outputOf,
  searchable,
  settledMark,
  stateNumber,
  storedOf,
  taskRow,
  wakeMark,
} from "./task-rows.ts";
import { taskReads } from "./task-statements.ts";
import type { ChangeRows, TaskRows } from "./task-writes.ts";
import type { Writer } from "./writer.ts";

/** TaskStore on SQLite. `now` is the clock of this machine, which is the database's too. */
export function sqliteTaskStore(db: Connection, writer: Writer, reader: Reader, cache: TaskCache): TaskStore {
  const sql = taskReads(db);
  const removal = taskRemoval(db, writer);

  function read({ project, id }: TaskKey): Stored | undefined {
    const known = cache.get(id);
    if (known) return known.task.project === project ? known : undefined;
    const row = sql.getTask.get([id, project]);
    if (!row) return undefined;
    const stored = storedOf(row);
    cache.set(stored);
    return stored;
  }

  return {
    insert: async (tasks) => {
      if (tasks.length === 0) return [];
      return writer.write(sum(tasks, bytesOf), "insertTasks", tasks.map(rowsOf), (results) => {
        results.forEach((result, at) => {
          const task = tasks[at];
          if (task && result === "inserted") cache.set({ task, rev: 0 });
        });
      });
    },

    get: async (keys) => tried(() => keys.map(read)),

    replace: async (changes) => {
      if (changes.length === 0) return [];
      return writer.write(sum(changes, bytesOfChange), "replaceTasks", changes.map(changeRowsOf), (results) => {
        results.forEach((result, at) => {
          const change = changes[at];
          if (!change) return;
          if (result === "replaced") cache.set({ task: change.next, rev: change.rev + 1 });
          else cache.forget(change.next.id);
        });
      });
    },

    listDue: async (partitions, until, limit, after) =>
      tried(() => {
        const from = after ?? { wakeAt: Number.MIN_SAFE_INTEGER, id: "" };
        return sql.listDue.all([from.wakeAt, until, from.wakeAt, from.id, JSON.stringify(partitions), limit]).map(storedOf);
      }),

    nextDue: async (partitions) =>
      tried(() => {
        const row = sql.nextDue.get([JSON.stringify(partitions)]);
        return row ? numberAt(row, 0) : undefined;
      }),

    listBacklog: async (partition, limit) => tried(() => sql.listBacklog.all([partition, limit]).map(storedOf)),

    listLimited: async (project, key, limit) => tried(() => sql.listLimited.all([project, key, limit]).map(storedOf)),

    countLimited: async (project, key, limit) =>
      tried(() => {
        const row = sql.countLimited.get([project, key, limit]);
        return row ? numberAt(row, 0) : 0;
      }),

    list: async (query) => (await listRows(reader, query)).map(storedOf),

    listChildren: async (project, parentId, limit, after) =>
      tried(() => sql.listChildren.all([project, parentId, after ?? "", limit]).map(storedOf)),

    getNodeRuns: async (keys) =>
      tried(() =>
        keys.map(({ project, id, path }) => {
          const row = sql.getNodeRun.get([id, path, project]);
          return row === undefined ? undefined : nodeRunOf(row);
        }),
      ),

    listNodeRuns: async ({ project, id }, limit, after, only) => {
      const from = after ?? { attempt: -1, report: -1 };
      // Without a path: behind every path of that report.
      const values = [id, project, from.attempt, from.report, from.path ?? null, limit];
      if (only === undefined) return (await reader.rows(sql.listNodeRuns, values)).map(nodeRunOf);
      const { prefix = "", top } = only;
      const bounds = [prefix, `${prefix}${lastCharacter}`, top === true ? Array.from(prefix).length + 1 : 0];
      return (await reader.rows(sql.listNodeRunsBehind, [...values, ...bounds])).map(nodeRunOf);
    },

    putNodeRuns: async (runs) => {
      if (runs.length === 0) return;
      await writer.write(sum(runs, bytesOfRun), "putNodeRuns", runs.map(nodeRunRow));
    },

    listExpired: async (settledBy, limit) => tried(() => removal.listExpired(settledBy, limit)),

    remove: (expired) =>
      removal.remove(expired, (id, gone) => {
        cache.forget(id);
        if (gone !== undefined) reader.removed(gone);
      }),

    now: async () => Date.now(),
  };
}

/** No path goes on with it: it sorts behind everything that begins with a prefix. */
const lastCharacter = "\u{10ffff}";

function rowsOf(task: Task): TaskRows {
  const { project, createTime } = task;
  const labels = Object.entries(task.labels).map(([name, value]) => [project, searchable(name), searchable(value), createTime]);
  const child = task.parent && [project, task.parent.id, task.id];
  return { task: taskRow(task), body: bodyRow(task), labels, child };
}

function changeRowsOf({ next, rev, nodeRuns }: Change): ChangeRows {
  const { id, project, state } = next;
  const marks = [
    stateNumber(state),
    wakeMark(next),
    backlogMark(next),
    headOf(next),
    outputOf(next),
    settledMark(next),
    limitMark(next),
  ];
  return { task: [...marks, id, project, rev], nodeRuns: nodeRuns?.map(nodeRunRow) };
}

function tried<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asStoreError(error);
  }
}

function sum<T>(items: readonly T[], bytes: (item: T) => number): number {
  return items.reduce((total, item) => total + bytes(item), 0);
}

/** Roughly what a task takes in the file; only the order of magnitude matters. */
export function bytesOf(task: Task): number {
  const output = task.state === "succeeded" && task.output.kind === "inline" ? task.output.json.length : 0;
  return 600 + (task.input.kind === "inline" ? task.input.json.length : 0) + task.text.length + output + bytesOfMoving(task);
}

function bytesOfChange({ next, nodeRuns }: Change): number {
  const output = next.state === "succeeded" && next.output.kind === "inline" ? next.output.json.length : 0;
  return 300 + output + bytesOfMoving(next) + (nodeRuns ? sum(nodeRuns, bytesOfRun) : 0);
}

/** What a task waits for and what has arrived for it: most have neither. */
function bytesOfMoving(task: Task): number {
  const waits = task.state === "waiting" ? task.waits.length * 200 : 0;
  return waits + (task.inbox === undefined ? 0 : sum(task.inbox, bytesOfArrival));
}

function bytesOfArrival({ payload }: Arrival): number {
  return 200 + (payload?.kind === "inline" ? payload.json.length : 0);
}

function bytesOfRun(run: NodeRun): number {
  return (
    300 +
    (run.input?.kind === "inline" ? run.input.json.length : 0) +
    (run.output?.kind === "inline" ? run.output.json.length : 0) +
    (run.log?.kind === "inline" ? run.log.json.length : 0)
  );
}
