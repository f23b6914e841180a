import type { Document } from "mongodb";
import type { Commands } from "./connection.ts";

/** A lost answer leaves little of the caller's patience. */
const readBackMs = 1_000;

/** The `field` of each of these documents as a majority holds it; documents that are not there are absent. */
export async function readBack(
  mongo: Commands,
  collection: string,
  ids: readonly string[],
  field: "insertId" | "writeId",
): Promise<ReadonlyMap<string, string>> {
  const reply = await mongo.command(
    {
      find: collection,
      filter: { _id: { $in: ids } },
      projection: { [field]: 1 },
      singleBatch: true,
      batchSize: ids.length,
      // What a majority holds can't be rolled back by an election.
      readConcern: { level: "majority" },
    },
    readBackMs,
  );
  const found: readonly Document[] = reply["cursor"]["firstBatch"];
  return new Map(found.map((one) => [one["_id"], one[field]]));
}
