import { type CatalogStore, LonghaulError, type WorkflowHead, type WorkflowRevision } from "@longhaul/core";
import { compareAndSet } from "./compare-and-set.ts";
import type { Fallible, Mongo } from "./connection.ts";
import { insertNew } from "./insert-new.ts";
import { collections, indexes } from "./schema.ts";
import { newWriteId } from "./write-id.ts";

/** `_id` is `{project}/{name}`; a name has no slash, so two never meet. */
interface HeadDocument extends WorkflowHead {
  readonly _id: string;
  readonly insertId: string;
  readonly rev: number;
  readonly writeId: string;
}

/** `_id` is `{project}/{name}/{revision}`. */
interface RevisionDocument extends Omit<WorkflowRevision, "definition"> {
  readonly _id: string;
  readonly insertId: string;
  /** JSON text, because a definition may have any key. */
  readonly definition: string;
}

export function mongoCatalogStore(mongo: Mongo): CatalogStore {
  const heads = mongo.db.collection<HeadDocument>(collections.workflows);
  const revisions = mongo.db.collection<RevisionDocument>(collections.revisions);

  return {
    getHead: async (project, name) => {
      const found = await mongo.attempt(() => heads.findOne({ _id: `${project}/${name}`, project }, { hint: "_id_" }));
      return found ? { head: headOf(found), rev: found.rev } : undefined;
    },
    insertHead: async (head) => {
      const id = newWriteId();
      const document = { ...head, _id: `${head.project}/${head.name}`, insertId: id, rev: 0, writeId: id };
      return only(await insertNew(mongo, collections.workflows, [document]));
    },
    replaceHead: async (next, rev) => {
      const { project, name, ...fields } = next;
      return only(
        await compareAndSet(mongo, collections.workflows, [
          { id: `${project}/${name}`, project, rev, writeId: newWriteId(), fields },
        ]),
      );
    },
    insertRevision: async (revision) => {
      const { project, name } = revision;
      const document = {
        ...revision,
        _id: `${project}/${name}/${revision.revision}`,
        insertId: newWriteId(),
        definition: JSON.stringify(revision.definition),
      };
      return only(await insertNew(mongo, collections.revisions, [document]));
    },
    getRevision: async (project, name, revision) => {
      const filter = { _id: `${project}/${name}/${revision}`, project };
      const found = await mongo.attempt(() => revisions.findOne(filter, { hint: "_id_" }));
      return found ? revisionOf(found) : undefined;
    },
    listHeads: (project, limit, after) =>
      mongo.attempt(async () => {
        const filter = { project, deleted: false, ...(after === undefined ? {} : { name: { $gt: after } }) };
        const found = heads.find(filter, { hint: indexes.byName, sort: { name: 1 }, limit });
        return (await found.toArray()).map(headOf);
      }),
    listRevisions: (project, name, limit, before) =>
      mongo.attempt(async () => {
        const filter = { project, name, ...(before === undefined ? {} : { revision: { $lt: before } }) };
        const found = revisions.find(filter, { hint: indexes.byRevision, sort: { revision: -1 }, limit });
        return (await found.toArray()).map(revisionOf);
      }),
  };
}

function only<T>([result]: readonly Fallible<T>[]): T {
  if (result === undefined) throw new LonghaulError("internal", "the database answered nothing for one item");
  if (result instanceof LonghaulError) throw result;
  return result;
}

function headOf({ _id: _i, insertId: _n, rev: _r, writeId: _w, ...head }: HeadDocument): WorkflowHead {
  return head;
}

function revisionOf({ _id: _i, insertId: _n, definition, ...revision }: RevisionDocument): WorkflowRevision {
  return { ...revision, definition: JSON.parse(definition) };
}
