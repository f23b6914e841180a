import type { Connection, Query } from "./connection.ts";
import { nodeRunColumns, taskColumns } from "./task-rows.ts";

/** Every statement that a task meets on its way; a test shows that each of them goes by an index. */
export const taskSql = {
  lastSeq: "SELECT coalesce(max(seq), 0) FROM tasks",
  lastRemoved: "SELECT last_seq FROM removed WHERE rowid = 1",
  insertTask: "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
  insertBody: "INSERT INTO bodies VALUES (?, ?, ?, ?)",
  insertLabel: "INSERT INTO task_labels VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
  getTask: `SELECT ${taskColumns} FROM tasks t JOIN bodies b ON b.seq = t.seq WHERE t.id = ? AND t.project = ?`,
  replaceTask:
    "UPDATE tasks SET rev = rev + 1, state = ?, wake_at = ?, backlog = ?, head = ?, output = ?, settled_at = ? WHERE id = ? AND project = ? AND rev = ?",
  putNodeRun:
    `INSERT INTO node_runs (${nodeRunColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (task_id, path) DO UPDATE SET ` +
    "attempt = excluded.attempt, report = excluded.report, rest = excluded.rest, input = excluded.input, output = excluded.output " +
    "WHERE excluded.attempt >= node_runs.attempt AND excluded.project = node_runs.project",
  // One process owns every partition here, so the order of time comes before the partition.
  listDue:
    `SELECT ${taskColumns} FROM tasks t INDEXED BY tasks_wake CROSS JOIN bodies b ON b.seq = t.seq ` +
    "WHERE t.wake_at >= ? AND t.wake_at <= ? AND (t.wake_at > ? OR t.id > ?) AND t.part IN (SELECT value FROM json_each(?)) " +
    "ORDER BY t.wake_at, t.id LIMIT ?",
  nextDue:
    "SELECT wake_at FROM tasks INDEXED BY tasks_wake WHERE wake_at > -9007199254740991 AND part IN (SELECT value FROM json_each(?)) ORDER BY wake_at LIMIT 1",
  listBacklog:
    `SELECT ${taskColumns} FROM tasks t INDEXED BY tasks_backlog CROSS JOIN bodies b ON b.seq = t.seq ` +
    "WHERE t.backlog IS NOT NULL AND t.part = ? ORDER BY t.priority DESC, t.create_time, t.id LIMIT ?",
  listNodeRuns:
    `SELECT ${nodeRunColumns} FROM node_runs WHERE task_id = ?1 AND project = ?2 AND ` +
    "(attempt > ?3 OR (attempt = ?3 AND (report > ?4 OR (report = ?4 AND path > ?5)))) ORDER BY attempt, report, path LIMIT ?6",
} as const;

type Prepared = { readonly [K in Exclude<keyof typeof taskSql, "listNodeRuns">]: Query };

/** The statements prepared; `listNodeRuns` stays text, for the reader. */
export function taskStatements(db: Connection): Prepared & { readonly listNodeRuns: string } {
  return {
    lastSeq: db.prepare(taskSql.lastSeq),
    lastRemoved: db.prepare(taskSql.lastRemoved),
    insertTask: db.prepare(taskSql.insertTask),
    insertBody: db.prepare(taskSql.insertBody),
    insertLabel: db.prepare(taskSql.insertLabel),
    getTask: db.prepare(taskSql.getTask),
    replaceTask: db.prepare(taskSql.replaceTask),
    putNodeRun: db.prepare(taskSql.putNodeRun),
    listDue: db.prepare(taskSql.listDue),
    nextDue: db.prepare(taskSql.nextDue),
    listBacklog: db.prepare(taskSql.listBacklog),
    listNodeRuns: taskSql.listNodeRuns,
  };
}
