import { type Expired, LonghaulError } from "@longhaul/core";
import type { Document, ObjectId } from "mongodb";
import { blobStore } from "./blob-store.ts";
import { compareAndSet } from "./compare-and-set.ts";
import { durable, type Mongo } from "./connection.ts";
import { collections, indexes } from "./schema.ts";
import type { TaskDocument } from "./task-document.ts";
import { expiredTasks } from "./task-queries.ts";
import { newWriteId } from "./write-id.ts";

/**
 * After so long a removal stops; what is left of it is listed again. So whoever was held up does not delete what a new task of the same
 * id has written since: another process takes over only when the lease of this one (5 s) has ended.
 */
const holdMs = 4_000;
const payloadsPerRead = 1_000;

export async function listExpiredTasks(mongo: Mongo, settledBy: number, limit: number): Promise<readonly Expired[]> {
  const { filter, ...options } = expiredTasks(settledBy, limit);
  const tasks = mongo.db.collection<TaskDocument>(collections.tasks);
  const found = await mongo.attempt(() => tasks.find(filter, { ...options, batchSize: limit }).toArray());
  return found.map(({ _id, project, rev, head }) => ({ project, id: _id, rev, settledAt: head.endTime ?? 0 }));
}

/**
 * Marks the tasks first, by compare-and-set: from then on nobody sees them and their ids are taken. Then everything that belongs to them
 * goes, and they themselves last, each only if the mark is still this one. A death in between leaves marked tasks, which are listed again.
 */
export async function removeTasks(mongo: Mongo, expired: readonly Expired[], longestMs: number = holdMs): Promise<number> {
  const begun = performance.now();
  const isLate = (): boolean => performance.now() - begun > longestMs;
  const removing = newWriteId();
  const outcomes = await compareAndSet(
    mongo,
    collections.tasks,
    expired.map(({ id, project, rev }) => ({ id, project, rev, writeId: newWriteId(), fields: { removing } })),
  );
  const marked = expired.filter((_, at) => outcomes[at] === "replaced");
  if (marked.length === 0) {
    const failed = outcomes.find((outcome) => outcome instanceof LonghaulError);
    if (failed) throw failed;
    return 0;
  }
  const ids = marked.map((one) => one.id);
  const projects = [...new Set(marked.map((one) => one.project))];

  if (isLate() || !(await removePayloads(mongo, ids, isLate))) return 0;
  await remove(mongo, collections.nodeRuns, { taskId: { $in: ids }, project: { $in: projects } }, indexes.byTask);
  if (isLate()) return 0;
  await removeSegments(mongo, ids);
  return await remove(mongo, collections.tasks, { _id: { $in: ids }, project: { $in: projects }, removing }, "_id_");
}

/** How many were removed; of a repeat, those that the first try left. */
async function remove(mongo: Mongo, collection: string, q: Document, hint: string): Promise<number> {
  const reply = await mongo.command({
    delete: collection,
    deletes: [{ q, limit: 0, hint }],
    ordered: false,
    // Whoever gave up waiting must know that nothing is deleted any more.
    maxTimeMS: holdMs,
    writeConcern: durable,
  });
  const removed: unknown = reply["n"];
  return typeof removed === "number" ? removed : 0;
}

/** The files go before the records that name them, or nobody would find them any more. False when time ran out. */
async function removePayloads(mongo: Mongo, ids: readonly string[], isLate: () => boolean): Promise<boolean> {
  const payloads = mongo.db.collection<{ readonly _id: string; readonly blob?: ObjectId }>(collections.payloads);
  const blobs = blobStore(mongo);
  // All keys that begin with the id and a slash; "0" is the character behind it.
  const $or = ids.map((id) => ({ _id: { $gte: `${id}/`, $lt: `${id}0` } }));
  const options = { projection: { blob: 1 }, hint: "_id_", limit: payloadsPerRead, batchSize: payloadsPerRead } as const;
  for (;;) {
    const found = await mongo.attempt(() => payloads.find({ $or }, options).toArray());
    for (const { blob } of found) {
      if (isLate()) return false;
      if (blob) await blobs.remove(blob);
    }
    const keys = found.map((record) => record._id);
    if (keys.length > 0) await remove(mongo, collections.payloads, { _id: { $in: keys } }, "_id_");
    if (found.length < payloadsPerRead) return true;
    if (isLate()) return false;
  }
}

/** A segment of the search index goes with the last of its tasks. */
async function removeSegments(mongo: Mongo, ids: readonly string[]): Promise<void> {
  const tasks = mongo.db.collection<TaskDocument>(collections.tasks);
  const search = mongo.db.collection<{ readonly _id: string; readonly ids: readonly string[] }>(collections.search);
  const indexed = await mongo.attempt(() =>
    tasks.find({ _id: { $in: [...ids] } }, { projection: { segment: 1 }, hint: "_id_", batchSize: ids.length + 1 }).toArray(),
  );
  const named = new Set(indexed.flatMap(({ segment }) => segment ?? []));
  if (named.size === 0) return;
  const segments = await mongo.attempt(() =>
    search.find({ _id: { $in: [...named] } }, { projection: { ids: 1 }, hint: "_id_" }).toArray(),
  );
  for (const segment of segments) {
    const left = await mongo.attempt(() =>
      tasks.findOne({ _id: { $in: [...segment.ids] }, removing: { $exists: false } }, { projection: { _id: 1 }, hint: "_id_" }),
    );
    if (!left) await remove(mongo, collections.search, { _id: segment._id }, "_id_");
  }
}
