import { type Job, type JobKey, type JobStore, jobWakeAt, LonghaulError, type StoredJob } from "@longhaul/core";
import type { Document } from "mongodb";
import { compareAndSet } from "./compare-and-set.ts";
import { durable, type Fallible, type Mongo } from "./connection.ts";
import { insertNew } from "./insert-new.ts";
import { collections, indexes } from "./schema.ts";
import { newWriteId } from "./write-id.ts";

/** `_id` is `{project}/{id}`. */
interface JobDocument {
  readonly _id: string;
  readonly project: string;
  readonly jobId: string;
  readonly partition: number;
  readonly taskId: string;
  readonly function: string;
  readonly priority: number;
  readonly createTime: number;
  /** True exactly while it is queued, else null. */
  readonly queued: true | null;
  readonly wakeAt: number;
  /** The job as JSON text. */
  readonly json: string;
  readonly insertId: string;
  readonly rev: number;
  readonly writeId: string;
}

/** JobStore on MongoDB. */
export function mongoJobStore(mongo: Mongo): JobStore {
  const jobs = mongo.db.collection<JobDocument>(collections.jobs);

  return {
    get: async (keys) => {
      if (keys.length === 0) return [];
      const ids = keys.map(idOf);
      const found = await mongo.attempt(() => jobs.find({ _id: { $in: ids } }, { hint: "_id_", batchSize: 1_000 }).toArray());
      const byId = new Map(found.map((document) => [document._id, document]));
      return ids.map((id) => {
        const document = byId.get(id);
        return document && storedOf(document);
      });
    },
    insert: async (job) => {
      const id = newWriteId();
      const { project, partition, taskId, function: name, priority, createTime } = job;
      const document: JobDocument = {
        _id: idOf(job),
        project,
        jobId: job.id,
        partition,
        taskId,
        function: name,
        priority,
        createTime,
        ...changing(job),
        insertId: id,
        rev: 0,
        writeId: id,
      };
      return only(await insertNew(mongo, collections.jobs, [document as JobDocument & Document]));
    },
    replace: async (next, rev) => {
      const change = { id: idOf(next), project: next.project, rev, writeId: newWriteId(), fields: changing(next) };
      return only(await compareAndSet(mongo, collections.jobs, [change]));
    },
    remove: async (key, rev) => {
      const _id = idOf(key);
      await mongo.command({
        delete: collections.jobs,
        deletes: [{ q: { _id, project: key.project, rev }, limit: 1, hint: "_id_" }],
        writeConcern: durable,
      });
      const left = await mongo.attempt(() => jobs.findOne({ _id }, { hint: "_id_", projection: { _id: 1 } }));
      return left === null ? "removed" : "stale";
    },
    listQueued: (project, name, limit) =>
      mongo.attempt(async () => {
        const sort = { priority: -1, createTime: 1, _id: 1 } as const;
        const found = jobs.find({ project, function: name, queued: true }, { hint: indexes.backlog, sort, limit });
        return (await found.toArray()).map(storedOf);
      }),
    listOfTask: (project, taskId, limit, after) =>
      mongo.attempt(async () => {
        const filter = { project, taskId, ...(after === undefined ? {} : { jobId: { $gt: after } }) };
        return (await jobs.find(filter, { hint: indexes.byTask, sort: { jobId: 1 }, limit }).toArray()).map(storedOf);
      }),
    listDue: (partitions, until, limit) =>
      mongo.attempt(async () => {
        const filter = { wakeAt: { $lte: until }, partition: { $in: [...partitions] } };
        return (await jobs.find(filter, { hint: indexes.due, sort: { wakeAt: 1 }, limit }).toArray()).map(storedOf);
      }),
    nextDue: (partitions) =>
      mongo.attempt(async () => {
        const filter = { partition: { $in: [...partitions] } };
        const [first] = await jobs.find(filter, { hint: indexes.due, sort: { wakeAt: 1 }, limit: 1 }).toArray();
        return first?.wakeAt;
      }),
  };
}

function idOf({ project, id }: JobKey): string {
  return `${project}/${id}`;
}

function changing(job: Job): Pick<JobDocument, "queued" | "wakeAt" | "json"> {
  return { queued: job.state === "queued" ? true : null, wakeAt: jobWakeAt(job), json: JSON.stringify(job) };
}

function only<T>([result]: readonly Fallible<T>[]): T {
  if (result === undefined) throw new LonghaulError("internal", "the database answered nothing for one item");
  if (result instanceof LonghaulError) throw result;
  return result;
}

// Written by `insert` and `replace` alone, from a Job.
function storedOf({ json, rev }: JobDocument): StoredJob {
  return { job: JSON.parse(json) as Job, rev };
}
