import Database from "libsql";

/** A file set up as the product's: WAL, an fsync per commit, pages of 8 KiB; only the indexes without which no task would be found again. */
export function openFloorFile(file: string): Database.Database {
  const db = new Database(file);
  for (const pragma of [
    "page_size = 8192",
    "journal_mode = WAL",
    "synchronous = FULL",
    "mmap_size = 0",
    "cache_size = -16384",
    "wal_autocheckpoint = 2000",
  ]) {
    db.exec(`PRAGMA ${pragma}`);
  }
  db.exec(`
    CREATE TABLE tasks (
      seq INTEGER PRIMARY KEY, id TEXT NOT NULL, workflow TEXT NOT NULL, create_time INTEGER NOT NULL, rev INTEGER NOT NULL,
      state TEXT NOT NULL, wake_at INTEGER, head TEXT NOT NULL, input TEXT NOT NULL, output TEXT
    );
    CREATE UNIQUE INDEX tasks_id ON tasks (id);
    CREATE INDEX tasks_wake ON tasks (wake_at) WHERE wake_at IS NOT NULL;
    CREATE TABLE node_runs (
      seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL, path TEXT NOT NULL, attempt INTEGER NOT NULL, rest TEXT NOT NULL, output TEXT
    );
    CREATE UNIQUE INDEX node_runs_key ON node_runs (task_id, path);
  `);
  return db;
}

export const floorSql = {
  insertTask: "INSERT INTO tasks VALUES (NULL, ?, ?, ?, 0, 'queued', ?, ?, ?, NULL)",
  claimTask: "UPDATE tasks SET rev = rev + 1, state = 'running', wake_at = ?, head = ? WHERE id = ? AND rev = ?",
  finishTask:
    "UPDATE tasks SET rev = rev + 1, state = 'succeeded', wake_at = NULL, head = ?, output = ? WHERE id = ? AND rev = ?",
  insertNode: "INSERT INTO node_runs VALUES (NULL, ?, ?, 1, ?, ?)",
  getTask: "SELECT id, workflow, state, head, input, output FROM tasks WHERE id = ?",
} as const;
