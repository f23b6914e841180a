import type { Connection, Query } from "./connection.ts";
import { nodeRunColumns, taskColumns } from "./task-rows.ts";

/** Every statement that a task meets on its way; a test shows that each of them goes by an index. */
export const taskSql = {
  lastSeq: "SELECT coalesce(max(seq), 0) FROM tasks",
  lastRemoved: "SELECT last_seq FROM removed WHERE rowid = 1",
  insertTask: "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
  insertBody: "INSERT INTO bodies VALUES (?, ?, ?, ?)",
  insertLabel: "INSERT INTO task_labels VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
  insertChild: "INSERT INTO task_children VALUES (?, ?, ?, ?)",
  getTask: `SELECT ${taskColumns} FROM tasks t JOIN bodies b ON b.seq = t.seq WHERE t.id = ? AND t.project = ?`,
  replaceTask:
    "UPDATE tasks SET rev = rev + 1, state = ?, wake_at = ?, backlog = ?, head = ?, output = ?, settled_at = ?, limit_key = ? WHERE id = ? AND project = ? AND rev = ?",
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
  listLimited:
    `SELECT ${taskColumns} FROM tasks t INDEXED BY tasks_limited CROSS JOIN bodies b ON b.seq = t.seq ` +
    "WHERE t.project = ? AND t.limit_key = ? ORDER BY t.priority DESC, t.create_time, t.id LIMIT ?",
  countLimited: "SELECT count(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_limited WHERE project = ? AND limit_key = ? LIMIT ?)",
  listChildren:
    `SELECT ${taskColumns} FROM task_children c CROSS JOIN tasks t ON t.seq = c.seq CROSS JOIN bodies b ON b.seq = c.seq ` +
    "WHERE c.project = ?1 AND c.parent = ?2 AND c.id > ?3 AND t.project = ?1 ORDER BY c.id LIMIT ?4",
  getNodeRun: `SELECT ${nodeRunColumns} FROM node_runs WHERE task_id = ? AND path = ? AND project = ?`,
  listNodeRuns:
    `SELECT ${nodeRunColumns} FROM node_runs WHERE task_id = ?1 AND project = ?2 AND ` +
    "(attempt > ?3 OR (attempt = ?3 AND (report > ?4 OR (report = ?4 AND path > ?5)))) ORDER BY attempt, report, path LIMIT ?6",
  // The paths come from the index, so that what is not asked for costs no look at its row.
  listNodeRunsBehind:
    `SELECT ${nodeRunColumns} FROM node_runs INDEXED BY node_runs_key WHERE task_id = ?1 AND project = ?2 AND ` +
    "(attempt > ?3 OR (attempt = ?3 AND (report > ?4 OR (report = ?4 AND path > ?5)))) AND path >= ?7 AND path < ?8 AND " +
    "(?9 = 0 OR (instr(substr(path, ?9), '[') = 0 AND instr(substr(path, ?9), '].') = 0)) ORDER BY attempt, report, path LIMIT ?6",
} as const;

/** What runs as text, in the reader. */
type ReadAsText = "listNodeRuns" | "listNodeRunsBehind";
type Read = "getTask" | "listDue" | "nextDue" | "listBacklog" | "listLimited" | "countLimited" | "listChildren" | "getNodeRun";

/** The statements that read, prepared, and as text those that the reader runs. */
export function taskReads(db: Connection): { readonly [K in Read]: Query } & { readonly [K in ReadAsText]: string } {
  return {
    getTask: db.prepare(taskSql.getTask),
    listDue: db.prepare(taskSql.listDue),
    nextDue: db.prepare(taskSql.nextDue),
    listBacklog: db.prepare(taskSql.listBacklog),
    listLimited: db.prepare(taskSql.listLimited),
    countLimited: db.prepare(taskSql.countLimited),
    listChildren: db.prepare(taskSql.listChildren),
    getNodeRun: db.prepare(taskSql.getNodeRun),
    listNodeRuns: taskSql.listNodeRuns,
    listNodeRunsBehind: taskSql.listNodeRunsBehind,
  };
}
