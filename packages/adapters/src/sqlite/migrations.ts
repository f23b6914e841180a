import { LonghaulError } from "@longhaul/core";
import { type Connection, numberAt } from "./connection.ts";

/**
 * The steps that lead from an empty file to the schema of this version, in order; the number of steps done is what
 * `schema_version` keeps. A step that has been released is never changed.
 */
export const migrations: readonly string[] = [
  `
  -- What changes with a task's state, and what indexes need. Times are milliseconds since the epoch.
  CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    part INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    priority INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    state INTEGER NOT NULL,
    wake_at INTEGER,
    backlog INTEGER,
    head TEXT NOT NULL,
    output TEXT
  );
  CREATE UNIQUE INDEX tasks_id ON tasks (id);
  CREATE INDEX tasks_list ON tasks (project, create_time);
  CREATE INDEX tasks_wake ON tasks (wake_at, part) WHERE wake_at IS NOT NULL;
  CREATE INDEX tasks_backlog ON tasks (part, priority DESC, create_time, id) WHERE backlog IS NOT NULL;
  -- The states that few tasks are in; running and queued ones are found by tasks_wake, succeeded ones by tasks_list.
  CREATE INDEX tasks_rare ON tasks (project, state, create_time) WHERE state IN (2, 4, 5, 6);

  -- What never changes after submit, apart from the rest so that a change of state does not write it again.
  CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    fixed TEXT NOT NULL,
    input TEXT,
    -- What a search looks at; null where that is just the beginning of the input.
    words TEXT
  );
  CREATE INDEX bodies_words ON bodies (seq) WHERE words IS NULL OR words <> '';

  CREATE TABLE task_labels (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (project, name, value, create_time, seq)
  ) WITHOUT ROWID;

  CREATE TABLE node_runs (
    seq INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    path TEXT NOT NULL,
    project TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    report INTEGER NOT NULL,
    rest TEXT NOT NULL,
    input TEXT,
    output TEXT
  );
  CREATE UNIQUE INDEX node_runs_key ON node_runs (task_id, path);

  CREATE TABLE payloads (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    json TEXT NOT NULL
  );
  CREATE UNIQUE INDEX payloads_key ON payloads (key);

  CREATE TABLE workflow_heads (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    rev INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    head TEXT NOT NULL,
    PRIMARY KEY (project, name)
  ) WITHOUT ROWID;
  CREATE TABLE workflow_revisions (
    seq INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    json TEXT NOT NULL
  );
  CREATE UNIQUE INDEX workflow_revisions_key ON workflow_revisions (project, name, revision);

  CREATE TABLE leases (
    part INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
  );
  CREATE INDEX leases_owner ON leases (owner);
  CREATE TABLE owners (owner TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    task_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    rev INTEGER NOT NULL,
    next_time INTEGER,
    unreported INTEGER,
    standing TEXT NOT NULL
  );
  CREATE UNIQUE INDEX deliveries_id ON deliveries (id);
  CREATE INDEX deliveries_task ON deliveries (task_id, id);
  CREATE INDEX deliveries_endpoint ON deliveries (endpoint, next_time) WHERE next_time IS NOT NULL;
  CREATE INDEX deliveries_next ON deliveries (next_time) WHERE next_time IS NOT NULL;
  CREATE INDEX deliveries_unreported ON deliveries (seq) WHERE unreported IS NOT NULL;
  CREATE TABLE delivery_bodies (seq INTEGER PRIMARY KEY, fixed TEXT NOT NULL, body TEXT NOT NULL);
  CREATE TABLE endpoints (endpoint TEXT PRIMARY KEY, failures INTEGER NOT NULL, paused_until INTEGER) WITHOUT ROWID;

  -- Ties the search file, which is made from this one, to it.
  CREATE TABLE identity (uid TEXT NOT NULL);
  INSERT INTO identity VALUES (lower(hex(randomblob(16))));
  `,
  `
  -- Since when nothing more is to come of a task or a delivery; null before. What retention counts from.
  ALTER TABLE tasks ADD COLUMN settled_at INTEGER;
  UPDATE tasks SET settled_at = json_extract(head, '$.endTime') WHERE wake_at IS NULL;
  CREATE INDEX tasks_settled ON tasks (settled_at) WHERE settled_at IS NOT NULL;
  -- The highest seq that a task had when the latest one was removed.
  CREATE TABLE removed (last_seq INTEGER NOT NULL);
  INSERT INTO removed VALUES (0);

  ALTER TABLE deliveries ADD COLUMN settled_at INTEGER;
  UPDATE deliveries SET settled_at = (
    SELECT max(json_extract(b.fixed, '$.createTime'), coalesce(json_extract(standing, '$.attempts[#-1].time'), 0))
    FROM delivery_bodies b WHERE b.seq = deliveries.seq
  ) WHERE next_time IS NULL AND unreported IS NULL;
  CREATE INDEX deliveries_settled ON deliveries (settled_at) WHERE settled_at IS NOT NULL;
  `,
  `
  -- Which tasks a task started; apart from the tasks, so that a task without a parent has no row more.
  CREATE TABLE task_children (
    project TEXT NOT NULL,
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (project, parent, id)
  ) WITHOUT ROWID;
  -- What a task owes has a key, and it may wait for several nodes.
  UPDATE tasks SET head = json_set(head, '$.owes', (
    SELECT json_group_array(json_set(value, '$.key', json_extract(value, '$.event'))) FROM json_each(head, '$.owes')
  )) WHERE wake_at IS NOT NULL AND json_array_length(head, '$.owes') > 0;
  UPDATE tasks SET head = json_remove(json_set(
    head,
    '$.waits', json_array(json_set(json_extract(head, '$.waitingFor'), '$.reason', 'The node waits.')),
    '$.waitCount', 1
  ), '$.waitingFor') WHERE state = 2;
  `,
  `
  -- Small things that people or schedulers manage by name: connections, secrets, schedules, limits.
  CREATE TABLE resources (
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    part INTEGER NOT NULL,
    uid TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    wake_at INTEGER,
    json TEXT NOT NULL,
    rev INTEGER NOT NULL,
    PRIMARY KEY (project, kind, name)
  ) WITHOUT ROWID;
  CREATE INDEX resources_wake ON resources (kind, wake_at, part) WHERE wake_at IS NOT NULL;
  `,
  `
  -- What can be replayed together.
  CREATE INDEX deliveries_exhausted ON deliveries (project, id) WHERE json_extract(standing, '$.state') = 'exhausted';
  `,
  `
  -- The limit that a queued task waits for; null for all others.
  ALTER TABLE tasks ADD COLUMN limit_key TEXT;
  CREATE INDEX tasks_limited ON tasks (project, limit_key, priority DESC, create_time, id) WHERE limit_key IS NOT NULL;
  `,
  `
  -- Calls of functions that remote workers serve. What is not needed to find one is in its JSON.
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    part INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    function TEXT NOT NULL,
    priority INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    queued INTEGER,
    wake_at INTEGER NOT NULL,
    json TEXT NOT NULL,
    rev INTEGER NOT NULL
  );
  CREATE UNIQUE INDEX jobs_key ON jobs (project, id);
  CREATE INDEX jobs_queued ON jobs (project, function, priority DESC, create_time, id) WHERE queued IS NOT NULL;
  CREATE INDEX jobs_task ON jobs (project, task_id, id);
  CREATE INDEX jobs_wake ON jobs (wake_at, part);
  `,
];

/** Brings a database to the schema of this version. Refuses one that a newer version wrote, and touches nothing of it. */
export function migrate(db: Connection, file: string, steps: readonly string[] = migrations): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    const known = db.prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'").get([]);
    const fresh = !known || numberAt(known, 0) === 0;
    if (fresh) {
      const tables = db.prepare("SELECT count(*) FROM sqlite_master").get([]);
      if (tables && numberAt(tables, 0) > 0)
        throw new LonghaulError("precondition_failed", `${file} is a database of another program.`);
      db.exec("CREATE TABLE schema_version (version INTEGER NOT NULL)");
      db.exec("INSERT INTO schema_version VALUES (0)");
    }
    const row = db.prepare("SELECT max(version) FROM schema_version").get([]);
    const version = row ? numberAt(row, 0) : 0;
    if (version > steps.length) {
      throw new LonghaulError(
        "precondition_failed",
        `${file} was written by a newer Longhaul: its schema is version ${version}, this program knows ${steps.length}. ` +
          "Start that version again, or give this one another DATA_DIR.",
      );
    }
    for (const step of steps.slice(version)) db.exec(step);
    if (version < steps.length) db.prepare("UPDATE schema_version SET version = ?").run([steps.length]);
    db.exec("COMMIT");
  } catch (error) {
    if (db.inTransaction()) db.exec("ROLLBACK");
    throw error;
  }
}
