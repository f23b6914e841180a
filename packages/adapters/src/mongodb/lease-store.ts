import type { LeaseStore } from "@longhaul/core";
import { MongoServerError } from "mongodb";
import type { Mongo } from "./connection.ts";
import { collections } from "./schema.ts";

/** One per partition that was ever taken; at most 64. Owner "" has given it up. */
interface PartitionDocument {
  readonly _id: number;
  readonly owner: string;
  readonly epoch: number;
  readonly until: number;
}

interface SchedulerDocument {
  readonly _id: string;
  readonly until: number;
}

/** Schedulers that died are forgotten after this long. */
const forgetMs = 3_600_000;

export function mongoLeaseStore(mongo: Mongo): LeaseStore {
  const partitions = mongo.db.collection<PartitionDocument>(collections.partitions);
  const schedulers = mongo.db.collection<SchedulerDocument>(collections.schedulers);

  return {
    renew: (owner, until) =>
      mongo.attempt(async () => {
        await Promise.all([
          partitions.updateMany({ owner }, { $set: { until } }),
          schedulers.updateOne({ _id: owner }, { $set: { until } }, { upsert: true }),
          schedulers.deleteMany({ until: { $lt: until - forgetMs } }),
        ]);
      }),
    list: (now) =>
      mongo.attempt(async () => {
        const [leases, living] = await Promise.all([
          partitions.find().toArray(),
          schedulers.find({ until: { $gt: now } }).toArray(),
        ]);
        return {
          leases: leases.map(({ _id, owner, epoch, until }) => ({ partition: _id, owner, epoch, until })),
          owners: living.map((scheduler) => scheduler._id),
        };
      }),
    take: (partition, owner, epoch, until) =>
      mongo.attempt(async () => {
        const next = { owner, epoch: epoch + 1, until };
        if (epoch === 0) {
          try {
            await partitions.insertOne({ _id: partition, ...next });
            return true;
          } catch (error) {
            if (!(error instanceof MongoServerError) || error.code !== 11_000) throw error;
          }
        } else {
          const { matchedCount } = await partitions.updateOne({ _id: partition, epoch }, { $set: next });
          if (matchedCount > 0) return true;
        }
        // An earlier try whose answer was lost may have taken it.
        return (await partitions.findOne({ _id: partition, ...next })) !== null;
      }),
    give: (owner, given) =>
      mongo.attempt(async () => {
        const which = given === "all" ? {} : { _id: { $in: [...given] } };
        await partitions.updateMany({ ...which, owner }, { $set: { owner: "", until: 0 } });
        if (given === "all") await schedulers.deleteOne({ _id: owner });
      }),
  };
}
