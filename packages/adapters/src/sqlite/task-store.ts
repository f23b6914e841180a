import type { Change, InsertResult, NodeRun, ReplaceResult, Stored, Task, TaskKey, TaskStore } from "@longhaul/core";
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
import { taskStatements } from "./task-statements.ts";
import type { Writer } from "./writer.ts";

/** TaskStore on SQLite. `now` is the clock of this machine, which is the database's too. */
export function sqliteTaskStore(db: Connection, writer: Writer, reader: Reader, cache: TaskCache): TaskStore {
  const sql = taskStatements(db);
  let seq = Math.max(...[sql.lastSeq, sql.lastRemoved].map((query) => numberAt(query.get([]) ?? [0], 0)));
  const removal = taskRemoval(db, writer, () => seq);

  function insertOne(task: Task): InsertResult {
    const next = seq + 1;
    if (sql.insertTask.run(taskRow(next, task)) === 0) return "exists";
    seq = next;
    sql.insertBody.run(bodyRow(next, task));
    for (const [name, value] of Object.entries(task.labels)) {
      sql.insertLabel.run([task.project, searchable(name), searchable(value), task.createTime, next]);
    }
    return "inserted";
  }

  function replaceOne({ next, rev, nodeRuns }: Change): ReplaceResult {
    const { id, project, state } = next;
    const marks = [stateNumber(state), wakeMark(next), backlogMark(next)];
    const values = [...marks, headOf(next), outputOf(next), settledMark(next), id, project, rev];
    if (sql.replaceTask.run(values) === 0) return "stale";
    if (nodeRuns) for (const run of nodeRuns) sql.putNodeRun.run(nodeRunRow(run));
    return "replaced";
  }

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
      return writer.write(
        sum(tasks, bytesOf),
        () => tasks.map(insertOne),
        (results) => {
          results.forEach((result, at) => {
            const task = tasks[at];
            if (task && result === "inserted") cache.set({ task, rev: 0 });
          });
        },
      );
    },

    get: async (keys) => tried(() => keys.map(read)),

    replace: async (changes) => {
      if (changes.length === 0) return [];
      return writer.write(
        sum(changes, bytesOfChange),
        () => changes.map(replaceOne),
        (results) => {
          results.forEach((result, at) => {
            const change = changes[at];
            if (!change) return;
            if (result === "replaced") cache.set({ task: change.next, rev: change.rev + 1 });
            else cache.forget(change.next.id);
          });
        },
      );
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

    list: async (query) => (await listRows(reader, query)).map(storedOf),

    listNodeRuns: async ({ project, id }, limit, after) => {
      const from = after ?? { attempt: -1, report: -1 };
      // Without a path: behind every path of that report.
      const values = [id, project, from.attempt, from.report, from.path ?? null, limit];
      const rows = await reader.rows(sql.listNodeRuns, values);
      return rows.map(nodeRunOf);
    },

    putNodeRuns: async (runs) => {
      if (runs.length === 0) return;
      await writer.write(sum(runs, bytesOfRun), () => {
        for (const run of runs) sql.putNodeRun.run(nodeRunRow(run));
      });
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
  return 600 + (task.input.kind === "inline" ? task.input.json.length : 0) + task.text.length + output;
}

function bytesOfChange({ next, nodeRuns }: Change): number {
  const output = next.state === "succeeded" && next.output.kind === "inline" ? next.output.json.length : 0;
  return 300 + output + (nodeRuns ? sum(nodeRuns, bytesOfRun) : 0);
}

function bytesOfRun(run: NodeRun): number {
  return (
    300 +
    (run.input?.kind === "inline" ? run.input.json.length : 0) +
    (run.output?.kind === "inline" ? run.output.json.length : 0)
  );
}
