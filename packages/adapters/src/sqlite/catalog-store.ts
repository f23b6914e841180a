import type { CatalogStore, WorkflowHead, WorkflowRevision } from "@longhaul/core";
import { type Connection, numberAt, type Row, type SqlValue, textAt } from "./connection.ts";
import { asStoreError } from "./store-error.ts";
import type { Writer } from "./writer.ts";

export const catalogSql = {
  getHead: "SELECT head, rev FROM workflow_heads WHERE project = ? AND name = ?",
  insertHead: "INSERT INTO workflow_heads (project, name, rev, deleted, head) VALUES (?, ?, 0, ?, ?) ON CONFLICT DO NOTHING",
  replaceHead: "UPDATE workflow_heads SET rev = rev + 1, deleted = ?, head = ? WHERE project = ? AND name = ? AND rev = ?",
  insertRevision:
    "INSERT INTO workflow_revisions (project, name, revision, json) VALUES (?, ?, ?, ?) ON CONFLICT (project, name, revision) DO NOTHING",
  getRevision: "SELECT json FROM workflow_revisions WHERE project = ? AND name = ? AND revision = ?",
  listHeads: "SELECT head FROM workflow_heads WHERE project = ? AND name > ? AND deleted = 0 ORDER BY name LIMIT ?",
  listRevisions:
    "SELECT json FROM workflow_revisions WHERE project = ? AND name = ? AND revision < ? ORDER BY revision DESC LIMIT ?",
} as const;

export interface CatalogWrites {
  insertHead(values: readonly SqlValue[]): "inserted" | "exists";
  replaceHead(values: readonly SqlValue[]): "replaced" | "stale";
  insertRevision(values: readonly SqlValue[]): "inserted" | "exists";
}

/** What is written of workflows, inside a transaction that others share; values in the order of the statements. */
export function catalogWrites(db: Connection): CatalogWrites {
  const insertHead = db.prepare(catalogSql.insertHead);
  const replaceHead = db.prepare(catalogSql.replaceHead);
  const insertRevision = db.prepare(catalogSql.insertRevision);
  return {
    insertHead: (values) => (insertHead.run(values) === 0 ? "exists" : "inserted"),
    replaceHead: (values) => (replaceHead.run(values) === 0 ? "stale" : "replaced"),
    insertRevision: (values) => (insertRevision.run(values) === 0 ? "exists" : "inserted"),
  };
}

/** CatalogStore on SQLite: heads and revisions as JSON beside their keys. */
export function sqliteCatalogStore(db: Connection, writer: Writer): CatalogStore {
  const getHead = db.prepare(catalogSql.getHead);
  const getRevision = db.prepare(catalogSql.getRevision);
  const listHeads = db.prepare(catalogSql.listHeads);
  const listRevisions = db.prepare(catalogSql.listRevisions);

  return {
    getHead: (project, name) =>
      tried(() => {
        const row = getHead.get([project, name]);
        return row && { head: headOf(row), rev: numberAt(row, 1) };
      }),
    insertHead: (head) => {
      const json = JSON.stringify(head);
      return writer.write(json.length, "insertHead", [head.project, head.name, head.deleted ? 1 : 0, json]);
    },
    replaceHead: (next, rev) => {
      const json = JSON.stringify(next);
      return writer.write(json.length, "replaceHead", [next.deleted ? 1 : 0, json, next.project, next.name, rev]);
    },
    insertRevision: (revision) => {
      const json = JSON.stringify(revision);
      return writer.write(json.length, "insertRevision", [revision.project, revision.name, revision.revision, json]);
    },
    getRevision: (project, name, revision) =>
      tried(() => {
        const row = getRevision.get([project, name, revision]);
        return row && revisionOf(row);
      }),
    listHeads: (project, limit, after = "") => tried(() => listHeads.all([project, after, limit]).map(headOf)),
    listRevisions: (project, name, limit, before = Number.MAX_SAFE_INTEGER) =>
      tried(() => listRevisions.all([project, name, before, limit]).map(revisionOf)),
  };
}

function headOf(row: Row): WorkflowHead {
  return JSON.parse(textAt(row, 0));
}

function revisionOf(row: Row): WorkflowRevision {
  return JSON.parse(textAt(row, 0));
}

async function tried<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (error) {
    throw asStoreError(error);
  }
}
