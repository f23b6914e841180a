import {
  LonghaulError,
  type Resource,
  type ResourceKey,
  type ResourceKind,
  type ResourceStore,
  type StoredResource,
} from "@longhaul/core";
import type { Document } from "mongodb";
import { compareAndSet } from "./compare-and-set.ts";
import { durable, type Fallible, type Mongo } from "./connection.ts";
import { insertNew } from "./insert-new.ts";
import { collections, indexes } from "./schema.ts";
import { newWriteId } from "./write-id.ts";

/** `_id` is `{project}/{kind}/{name}`; neither kind nor name has a slash, so two never meet. */
interface ResourceDocument {
  readonly _id: string;
  readonly project: string;
  readonly kind: ResourceKind;
  readonly name: string;
  readonly partition: number;
  readonly uid: string;
  readonly createTime: number;
  readonly updateTime: number;
  /** Null when nothing is due; the index of due resources holds numbers only. */
  readonly wakeAt: number | null;
  readonly json: string;
  readonly insertId: string;
  readonly rev: number;
  readonly writeId: string;
}

/** ResourceStore on MongoDB. */
export function mongoResourceStore(mongo: Mongo): ResourceStore {
  const resources = mongo.db.collection<ResourceDocument>(collections.resources);

  return {
    get: async (keys) => {
      if (keys.length === 0) return [];
      const ids = keys.map(idOf);
      const found = await mongo.attempt(() =>
        resources.find({ _id: { $in: ids } }, { hint: "_id_", batchSize: 1_000 }).toArray(),
      );
      const byId = new Map(found.map((document) => [document._id, document]));
      return ids.map((id) => {
        const document = byId.get(id);
        return document && storedOf(document);
      });
    },
    insert: async (resource) => {
      const id = newWriteId();
      const { wakeAt = null, ...fields } = resource;
      const document: ResourceDocument = { _id: idOf(resource), ...fields, wakeAt, insertId: id, rev: 0, writeId: id };
      return only(await insertNew(mongo, collections.resources, [document as ResourceDocument & Document]));
    },
    replace: async (next, rev) => {
      const { project, updateTime, wakeAt = null, json } = next;
      const fields = { updateTime, wakeAt, json };
      return only(
        await compareAndSet(mongo, collections.resources, [{ id: idOf(next), project, rev, writeId: newWriteId(), fields }]),
      );
    },
    remove: async (key, rev) => {
      const _id = idOf(key);
      await mongo.command({
        delete: collections.resources,
        deletes: [{ q: { _id, project: key.project, rev }, limit: 1, hint: "_id_" }],
        writeConcern: durable,
      });
      const left = await mongo.attempt(() => resources.findOne({ _id }, { hint: "_id_", projection: { _id: 1 } }));
      return left === null ? "removed" : "stale";
    },
    list: (project, kind, limit, after) =>
      mongo.attempt(async () => {
        const filter = { project, kind, ...(after === undefined ? {} : { name: { $gt: after } }) };
        return (await resources.find(filter, { hint: indexes.byName, sort: { name: 1 }, limit }).toArray()).map(storedOf);
      }),
    listDue: (kind, partitions, until, limit) =>
      mongo.attempt(async () => {
        const filter = { kind, wakeAt: { $gte: 0, $lte: until }, partition: { $in: [...partitions] } };
        return (await resources.find(filter, { hint: indexes.due, sort: { wakeAt: 1 }, limit }).toArray()).map(storedOf);
      }),
    nextDue: (kind, partitions) =>
      mongo.attempt(async () => {
        const filter = { kind, wakeAt: { $gte: 0 }, partition: { $in: [...partitions] } };
        const [first] = await resources.find(filter, { hint: indexes.due, sort: { wakeAt: 1 }, limit: 1 }).toArray();
        return first?.wakeAt ?? undefined;
      }),
  };
}

function idOf({ project, kind, name }: ResourceKey): string {
  return `${project}/${kind}/${name}`;
}

function only<T>([result]: readonly Fallible<T>[]): T {
  if (result === undefined) throw new LonghaulError("internal", "the database answered nothing for one item");
  if (result instanceof LonghaulError) throw result;
  return result;
}

function storedOf(document: ResourceDocument): StoredResource {
  const { project, kind, name, partition, uid, createTime, updateTime, wakeAt, json, rev } = document;
  const resource: Resource = {
    project,
    kind,
    name,
    partition,
    uid,
    createTime,
    updateTime,
    json,
    ...(wakeAt === null ? {} : { wakeAt }),
  };
  return { resource, rev };
}
