import { type Job, type JobKey, type JobStore, jobWakeAt, type StoredJob } from "@longhaul/core";
import { type Connection, numberAt, type Row, type SqlValue, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

const columns = "json, rev";
const inOrder = "priority DESC, create_time, id";

export const jobSql = {
  getJob: `SELECT ${columns} FROM jobs WHERE project = ? AND id = ?`,
  insertJob:
    "INSERT INTO jobs (project, id, part, task_id, function, priority, create_time, queued, wake_at, json, rev) " +
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
  replaceJob: "UPDATE jobs SET rev = rev + 1, queued = ?, wake_at = ?, json = ? WHERE project = ? AND id = ? AND rev = ?",
  removeJob: "DELETE FROM jobs WHERE project = ? AND id = ? AND rev = ?",
  hasJob: "SELECT 1 FROM jobs WHERE project = ? AND id = ?",
  listQueuedJobs: `SELECT ${columns} FROM jobs INDEXED BY jobs_queued WHERE project = ? AND function = ? AND queued IS NOT NULL ORDER BY ${inOrder} LIMIT ?`,
  listJobsOfTask: `SELECT ${columns} FROM jobs INDEXED BY jobs_task WHERE project = ? AND task_id = ? AND id > ? ORDER BY id LIMIT ?`,
  listDueJobs: `SELECT ${columns} FROM jobs INDEXED BY jobs_wake WHERE wake_at <= ? AND part IN (SELECT value FROM json_each(?)) ORDER BY wake_at LIMIT ?`,
  nextDueJob:
    "SELECT wake_at FROM jobs INDEXED BY jobs_wake WHERE wake_at >= 0 AND part IN (SELECT value FROM json_each(?)) ORDER BY wake_at LIMIT 1",
} as const;

export interface JobWrites {
  insertJob(values: readonly SqlValue[]): "inserted" | "exists";
  replaceJob(values: readonly SqlValue[]): "replaced" | "stale";
  removeJob(by: { readonly key: readonly SqlValue[]; readonly rev: number }): "removed" | "stale";
}

/** What is written of jobs, inside a transaction that others share; values in the order of the statements. */
export function jobWrites(db: Connection): JobWrites {
  const insert = db.prepare(jobSql.insertJob);
  const replace = db.prepare(jobSql.replaceJob);
  const remove = db.prepare(jobSql.removeJob);
  const has = db.prepare(jobSql.hasJob);
  return {
    insertJob: (values) => (insert.run(values) === 0 ? "exists" : "inserted"),
    replaceJob: (values) => (replace.run(values) === 0 ? "stale" : "replaced"),
    removeJob: ({ key, rev }) => (remove.run([...key, rev]) === 0 && has.get(key) !== undefined ? "stale" : "removed"),
  };
}

const rowBytes = 300;

/** JobStore on SQLite. */
export function sqliteJobStore(db: Connection, writer: Writer): JobStore {
  const get = db.prepare(jobSql.getJob);
  const listQueued = db.prepare(jobSql.listQueuedJobs);
  const listOfTask = db.prepare(jobSql.listJobsOfTask);
  const listDue = db.prepare(jobSql.listDueJobs);
  const nextDue = db.prepare(jobSql.nextDueJob);

  return {
    get: (keys) =>
      tried(() =>
        keys.map((key) => {
          const row = get.get(keyValues(key));
          return row && storedOf(row);
        }),
      ),
    insert: (job) => {
      const { partition, taskId, function: name, priority, createTime } = job;
      const json = JSON.stringify(job);
      const values = [...keyValues(job), partition, taskId, name, priority, createTime, queuedOf(job), jobWakeAt(job), json];
      return writer.write(rowBytes + json.length, "insertJob", values);
    },
    replace: (next, rev) => {
      const json = JSON.stringify(next);
      return writer.write(rowBytes + json.length, "replaceJob", [queuedOf(next), jobWakeAt(next), json, ...keyValues(next), rev]);
    },
    remove: (key, rev) => writer.write(rowBytes, "removeJob", { key: keyValues(key), rev }),
    listQueued: (project, name, limit) => tried(() => listQueued.all([project, name, limit]).map(storedOf)),
    listOfTask: (project, taskId, limit, after = "") =>
      tried(() => listOfTask.all([project, taskId, after, limit]).map(storedOf)),
    listDue: (partitions, until, limit) => tried(() => listDue.all([until, JSON.stringify(partitions), limit]).map(storedOf)),
    nextDue: (partitions) =>
      tried(() => {
        const row = nextDue.get([JSON.stringify(partitions)]);
        return row && numberAt(row, 0);
      }),
  };
}

function keyValues({ project, id }: JobKey): readonly SqlValue[] {
  return [project, id];
}

/** Set exactly while it is queued; the index of queued jobs holds only those. */
function queuedOf({ state }: Job): 1 | null {
  return state === "queued" ? 1 : null;
}

// Written by `insert` and `replace` alone, from a Job.
function storedOf(row: Row): StoredJob {
  return { job: JSON.parse(textAt(row, 0)) as Job, rev: numberAt(row, 1) };
}

async function tried<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (error) {
    throw asStoreError(error);
  }
}
