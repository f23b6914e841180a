import type { PayloadStore } from "@longhaul/core";
import { ObjectId } from "mongodb";
import { blobStore } from "./blob-store.ts";
import { durable, type Fallible, type Mongo } from "./connection.ts";
import { gatherBatches } from "./gather-batches.ts";
import { longhaulError } from "./mongo-error.ts";
import { collections } from "./schema.ts";

/** From so many bytes on a payload is a GridFS file. */
const blobBytes = 262_144;

/** What lies in `payloads`: the text itself, or the id of its file. */
interface PayloadRecord {
  readonly _id: string;
  readonly json?: string;
  readonly blob?: ObjectId;
}

interface Payload {
  readonly key: string;
  readonly json: string;
}

export function mongoPayloadStore(mongo: Mongo): PayloadStore {
  const blobs = blobStore(mongo);

  const putSmall = gatherBatches<PayloadRecord, undefined>(
    (group) => insertRecords(mongo, group),
    (record) => record._id.length + (record.json?.length ?? 0),
  );

  /** The file first, then the record that makes it visible; whoever comes second with a key throws his file away. */
  async function putLarge({ key, json }: Payload): Promise<void> {
    const existing = await findRecords(mongo, [key]);
    if (existing.has(key)) return;
    const blob = new ObjectId();
    await blobs.write(blob, key, json);
    await putSmall([{ _id: key, blob }]);
    const kept = (await findRecords(mongo, [key])).get(key)?.blob?.equals(blob) === true;
    await (kept ? blobs.confirm(blob) : blobs.remove(blob));
  }

  async function textOf(record: PayloadRecord | undefined): Promise<string | undefined> {
    return record?.blob === undefined ? record?.json : await blobs.read(record.blob);
  }

  return {
    put: async (payloads) => {
      const large = payloads.filter(isLarge);
      const small = large.length === 0 ? payloads : payloads.filter((payload) => !isLarge(payload));
      await Promise.all([putSmall(small.map(({ key, json }) => ({ _id: key, json }))), putEach(large)]);
    },
    get: async (keys) => {
      if (keys.length === 0) return [];
      const records = await findRecords(mongo, [...new Set(keys)]);
      const texts = new Map<string, string | undefined>();
      for (const [key, record] of records) texts.set(key, await textOf(record));
      return keys.map((key) => texts.get(key));
    },
  };

  /** One after the other, because each takes its size in memory again. */
  async function putEach(payloads: readonly Payload[]): Promise<void> {
    for (const payload of payloads) await putLarge(payload);
  }
}

function isLarge({ json }: Payload): boolean {
  // UTF-8 takes one to three bytes per unit: most texts are decided without counting.
  if (json.length >= blobBytes) return true;
  return json.length * 3 >= blobBytes && Buffer.byteLength(json) >= blobBytes;
}

async function insertRecords(mongo: Mongo, records: readonly PayloadRecord[]): Promise<readonly Fallible<undefined>[]> {
  const results: Fallible<undefined>[] = records.map(() => undefined);
  const command = { insert: collections.payloads, documents: records, ordered: false, writeConcern: durable };
  const reply = await mongo.command(command);
  for (const error of reply["writeErrors"] ?? []) {
    // Payloads never change, so a key that is there already holds this very text.
    if (error.code !== 11_000) results[error.index] = longhaulError(error);
  }
  return results;
}

async function findRecords(mongo: Mongo, keys: readonly string[]): Promise<ReadonlyMap<string, PayloadRecord>> {
  const payloads = mongo.db.collection<PayloadRecord>(collections.payloads);
  const found = await mongo.attempt(() =>
    payloads.find({ _id: { $in: [...keys] } }, { hint: "_id_", batchSize: keys.length + 1 }).toArray(),
  );
  return new Map(found.map((record) => [record._id, record]));
}
