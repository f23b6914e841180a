import { MongoServerError } from "mongodb";
import type { Mongo } from "./connection.ts";
import { collections } from "./schema.ts";

interface LockDocument {
  readonly _id: string;
  readonly owner: string;
  /** On the database's clock. */
  readonly until: Date;
}

/** Takes or extends a lock for so long; false while somebody else holds it. For order and economy only: what it guards is repeatable. */
export async function takeLock(mongo: Mongo, name: string, owner: string, holdMs: number): Promise<boolean> {
  const locks = mongo.db.collection<LockDocument>(collections.locks);
  const free = { _id: name, $or: [{ owner }, { $expr: { $lte: ["$until", "$$NOW"] } }] };
  const held = [{ $set: { owner: { $literal: owner }, until: { $add: ["$$NOW", holdMs] } } }];
  return await mongo.attempt(async () => {
    try {
      const { matchedCount } = await locks.updateOne(free, held);
      if (matchedCount === 0) await locks.updateOne({ _id: name, owner }, held, { upsert: true });
      return true;
    } catch (error) {
      // The upsert met the lock of somebody else.
      if (error instanceof MongoServerError && error.code === 11_000) return false;
      throw error;
    }
  });
}

/** Gives a lock up before its time. */
export async function giveLock(mongo: Mongo, name: string, owner: string): Promise<void> {
  const locks = mongo.db.collection<LockDocument>(collections.locks);
  await mongo.attempt(() => locks.deleteOne({ _id: name, owner }));
}
