import type { Resource, ResourceKey, ResourceKind, ResourceStore, StoredResource } from "@longhaul/core";
import { type Connection, numberAt, type Row, type SqlValue, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

const columns = "project, kind, name, part, uid, create_time, update_time, wake_at, json, rev";

export const resourceSql = {
  getResource: `SELECT ${columns} FROM resources WHERE project = ? AND kind = ? AND name = ?`,
  insertResource:
    "INSERT INTO resources (project, kind, name, part, uid, create_time, update_time, wake_at, json, rev) " +
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
  replaceResource:
    "UPDATE resources SET rev = rev + 1, update_time = ?, wake_at = ?, json = ? WHERE project = ? AND kind = ? AND name = ? AND rev = ?",
  removeResource: "DELETE FROM resources WHERE project = ? AND kind = ? AND name = ? AND rev = ?",
  hasResource: "SELECT 1 FROM resources WHERE project = ? AND kind = ? AND name = ?",
  listResources: `SELECT ${columns} FROM resources WHERE project = ? AND kind = ? AND name > ? ORDER BY name LIMIT ?`,
  listDueResources: `SELECT ${columns} FROM resources INDEXED BY resources_wake WHERE kind = ? AND wake_at <= ? AND wake_at IS NOT NULL AND part IN (SELECT value FROM json_each(?)) ORDER BY wake_at LIMIT ?`,
  nextDueResource:
    "SELECT wake_at FROM resources INDEXED BY resources_wake WHERE kind = ? AND wake_at IS NOT NULL AND part IN (SELECT value FROM json_each(?)) ORDER BY wake_at LIMIT 1",
} as const;

export interface ResourceWrites {
  insertResource(values: readonly SqlValue[]): "inserted" | "exists";
  replaceResource(values: readonly SqlValue[]): "replaced" | "stale";
  removeResource(by: { readonly key: readonly SqlValue[]; readonly rev: number }): "removed" | "stale";
}

/** What is written of resources, inside a transaction that others share; values in the order of the statements. */
export function resourceWrites(db: Connection): ResourceWrites {
  const insert = db.prepare(resourceSql.insertResource);
  const replace = db.prepare(resourceSql.replaceResource);
  const remove = db.prepare(resourceSql.removeResource);
  const has = db.prepare(resourceSql.hasResource);
  return {
    insertResource: (values) => (insert.run(values) === 0 ? "exists" : "inserted"),
    replaceResource: (values) => (replace.run(values) === 0 ? "stale" : "replaced"),
    removeResource: ({ key, rev }) => (remove.run([...key, rev]) === 0 && has.get(key) !== undefined ? "stale" : "removed"),
  };
}

const rowBytes = 200;

/** ResourceStore on SQLite. */
export function sqliteResourceStore(db: Connection, writer: Writer): ResourceStore {
  const get = db.prepare(resourceSql.getResource);
  const list = db.prepare(resourceSql.listResources);
  const listDue = db.prepare(resourceSql.listDueResources);
  const nextDue = db.prepare(resourceSql.nextDueResource);

  return {
    get: (keys) =>
      tried(() =>
        keys.map((key) => {
          const row = get.get(keyValues(key));
          return row && storedOf(row);
        }),
      ),
    insert: (resource) => {
      const { partition, uid, createTime, updateTime, wakeAt, json } = resource;
      const values = [...keyValues(resource), partition, uid, createTime, updateTime, wakeAt ?? null, json];
      return writer.write(rowBytes + json.length, "insertResource", values);
    },
    replace: (next, rev) => {
      const { updateTime, wakeAt, json } = next;
      return writer.write(rowBytes + json.length, "replaceResource", [updateTime, wakeAt ?? null, json, ...keyValues(next), rev]);
    },
    remove: (key, rev) => writer.write(rowBytes, "removeResource", { key: keyValues(key), rev }),
    list: (project, kind, limit, after = "") => tried(() => list.all([project, kind, after, limit]).map(storedOf)),
    listDue: (kind, partitions, until, limit) =>
      tried(() => listDue.all([kind, until, JSON.stringify(partitions), limit]).map(storedOf)),
    nextDue: (kind, partitions) =>
      tried(() => {
        const row = nextDue.get([kind, JSON.stringify(partitions)]);
        return row && numberAt(row, 0);
      }),
  };
}

function keyValues({ project, kind, name }: ResourceKey): readonly SqlValue[] {
  return [project, kind, name];
}

const kinds: Readonly<Record<ResourceKind, true>> = {
  connection: true,
  secret: true,
  schedule: true,
  limit: true,
  slots: true,
  cache: true,
  usage: true,
};

function isKind(text: string): text is ResourceKind {
  return Object.hasOwn(kinds, text);
}

function storedOf(row: Row): StoredResource {
  const kind = textAt(row, 1);
  if (!isKind(kind)) throw new Error(`a stored resource is of the unknown kind ${kind}`);
  const resource: Resource = {
    project: textAt(row, 0),
    kind,
    name: textAt(row, 2),
    partition: numberAt(row, 3),
    uid: textAt(row, 4),
    createTime: numberAt(row, 5),
    updateTime: numberAt(row, 6),
    json: textAt(row, 8),
    ...(row[7] === null ? {} : { wakeAt: numberAt(row, 7) }),
  };
  return { resource, rev: numberAt(row, 9) };
}

async function tried<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (error) {
    throw asStoreError(error);
  }
}
