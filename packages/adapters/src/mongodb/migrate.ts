import { setTimeout as pause } from "node:timers/promises";
import { LonghaulError } from "@longhaul/core";
import type { Mongo } from "./connection.ts";
import { giveLock, takeLock } from "./lock.ts";
import { collections, indexesOf } from "./schema.ts";
import { newWriteId } from "./write-id.ts";

/** One step of the stored form: brings version `to - 1` to `to`. Must be harmless when repeated, because a process may die in it. */
export interface Migration {
  readonly to: number;
  run(mongo: Mongo): Promise<void>;
}

/** All steps, in order. Steps are added, never changed. */
export const migrations: readonly Migration[] = [
  // The first form: everything is made by its first insert, and the indexes at each start.
  { to: 1, run: async () => {} },
  // Deliveries know since when they are settled, and tasks in which segment of the search index their words are.
  { to: 2, run: addRetention },
  // Tasks have parents, inboxes and debts of several kinds, which earlier programs can't read; what those wrote is read as it is.
  { to: 3, run: async () => {} },
  // Tasks wait for slots of limits and owe them, which earlier programs can't read.
  { to: 4, run: async () => {} },
];

interface SchemaDocument {
  readonly _id: string;
  readonly version: number;
}

const lockMs = 60_000;
const lockPauseMs = 100;
const indexMs = 600_000;

/**
 * Brings the database to the newest form and makes sure of its indexes. Several services may start at once: one takes the lock and the
 * others wait. Rejects with `precondition_failed` when the data is of a newer form than this program knows.
 */
export async function migrate(mongo: Mongo, steps: readonly Migration[] = migrations): Promise<void> {
  const known = steps.at(-1)?.to ?? 0;
  const owner = newWriteId();
  if ((await readVersion(mongo, known)) < known) {
    while (!(await takeLock(mongo, "migration", owner, lockMs))) {
      await pause(lockPauseMs);
      if ((await readVersion(mongo, known)) === known) break;
    }
    try {
      for (const step of steps) {
        if (step.to <= (await readVersion(mongo, known))) continue;
        await takeLock(mongo, "migration", owner, lockMs);
        await step.run(mongo);
        await writeVersion(mongo, step.to);
      }
    } finally {
      await giveLock(mongo, "migration", owner);
    }
  }
  await createIndexes(mongo);
}

async function readVersion(mongo: Mongo, known: number): Promise<number> {
  const meta = mongo.db.collection<SchemaDocument>(collections.meta);
  const found = await mongo.attempt(() => meta.findOne({ _id: "schema" }));
  const version = found?.version ?? 0;
  if (version > known) {
    throw new LonghaulError(
      "precondition_failed",
      `The MongoDB database "${mongo.db.databaseName}" was written by a newer Longhaul (its data has version ${version}, this program ` +
        `knows up to ${known}). Run the newer program, or name another database.`,
    );
  }
  return version;
}

async function writeVersion(mongo: Mongo, version: number): Promise<void> {
  const meta = mongo.db.collection<SchemaDocument>(collections.meta);
  await mongo.attempt(() => meta.updateOne({ _id: "schema" }, { $max: { version } }, { upsert: true }));
}

async function addRetention(mongo: Mongo): Promise<void> {
  const isSettled = { $and: [{ $eq: ["$nextAttemptTime", null] }, { $eq: ["$unreported", false] }] };
  const settledAt = { $cond: [isSettled, { $max: ["$createTime", { $max: "$head.attempts.time" }] }, null] };
  const deliveries = mongo.db.collection(collections.deliveries);
  await mongo.attempt(() => deliveries.updateMany({ settledAt: { $exists: false } }, [{ $set: { settledAt } }]), indexMs);
  // The index is made anew from the tasks; until it has caught up, searches read them as they are.
  const tasks = mongo.db.collection(collections.tasks);
  await mongo.attempt(() => tasks.updateMany({ text: { $ne: "" } }, { $set: { unindexed: true } }), indexMs);
  await mongo.attempt(() => mongo.db.collection(collections.search).deleteMany({}), indexMs);
}

/** Names are fixed, so making an index that is there already costs one look. */
async function createIndexes(mongo: Mongo): Promise<void> {
  await Promise.all(
    Object.entries(indexesOf).map(([collection, descriptions]) =>
      mongo.attempt(() => mongo.db.collection(collection).createIndexes([...descriptions]), indexMs),
    ),
  );
}
