import { type Binary, GridFSBucket, type ObjectId } from "mongodb";
import { durable, type Mongo } from "./connection.ts";
import { collections } from "./schema.ts";

/** 16 MiB over a slow line; a lost connection is noticed long before. */
const transferMs = 30_000;
/** An upload that is not confirmed after this long was given up. */
const abandonedMs = 3_600_000;
const sweepBatch = 100;

/** A note that an upload has begun; it is taken away when a payload record points at the file. */
interface UploadDocument {
  readonly _id: ObjectId;
  /** The payload whose record will name the file. */
  readonly key: string;
  readonly startTime: Date;
}

interface ChunkDocument {
  readonly _id: ObjectId;
  readonly files_id: ObjectId;
  readonly n: number;
  readonly data: Binary;
}

/** Texts in GridFS, each written once under an id of its own. A file is visible only through the record that names it. */
export interface BlobStore {
  write(id: ObjectId, key: string, text: string): Promise<void>;
  /** Says that a record points at the file. */
  confirm(id: ObjectId): Promise<void>;
  remove(id: ObjectId): Promise<void>;
  read(id: ObjectId): Promise<string>;
}

export function blobStore(mongo: Mongo): BlobStore {
  const uploads = mongo.db.collection<UploadDocument>(collections.uploads);
  return {
    write: async (id, key, text) => {
      await mongo.attempt(() =>
        uploads.updateOne({ _id: id }, [{ $set: { key: { $literal: key }, startTime: { $ifNull: ["$startTime", "$$NOW"] } } }], {
          upsert: true,
        }),
      );
      await mongo.attempt(async () => {
        // A repeat begins from nothing.
        await removeFile(mongo, id);
        await upload(mongo, id, Buffer.from(text));
      }, transferMs);
    },
    confirm: async (id) => {
      await mongo.attempt(() => uploads.deleteOne({ _id: id }));
    },
    remove: (id) => removeUpload(mongo, id),
    read: (id) =>
      mongo.attempt(async () => {
        const chunks = mongo.db.collection<ChunkDocument>(`${collections.blobs}.chunks`);
        const found = await chunks.find({ files_id: id }, { sort: { n: 1 } }).toArray();
        return Buffer.concat(found.map((chunk) => chunk.data.buffer)).toString();
      }, transferMs),
  };
}

function bucketOf(mongo: Mongo): GridFSBucket {
  const writeConcern = { w: durable.w, journal: durable.j };
  return new GridFSBucket(mongo.db, { bucketName: collections.blobs, writeConcern });
}

async function upload(mongo: Mongo, id: ObjectId, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const stream = bucketOf(mongo).openUploadStreamWithId(id, id.toHexString());
    stream.once("error", reject);
    stream.once("finish", () => resolve());
    stream.end(bytes);
  });
}

async function removeFile(mongo: Mongo, id: ObjectId): Promise<void> {
  const files = mongo.db.collection(`${collections.blobs}.files`);
  const chunks = mongo.db.collection<ChunkDocument>(`${collections.blobs}.chunks`);
  await files.deleteOne({ _id: id });
  await chunks.deleteMany({ files_id: id });
}

/** The note goes last, so that a crash leaves it for the next sweep. */
async function removeUpload(mongo: Mongo, id: ObjectId): Promise<void> {
  const uploads = mongo.db.collection<UploadDocument>(collections.uploads);
  await mongo.attempt(() => removeFile(mongo, id), transferMs);
  await mongo.attempt(() => uploads.deleteOne({ _id: id }));
}

/** Removes files of uploads that began over an hour ago and were never pointed at. Answers how many. */
export async function sweepBlobs(mongo: Mongo, olderThanMs: number = abandonedMs): Promise<number> {
  const uploads = mongo.db.collection<UploadDocument>(collections.uploads);
  const payloads = mongo.db.collection<{ readonly _id: string; readonly blob?: ObjectId }>(collections.payloads);
  const filter = { $expr: { $lt: ["$startTime", { $subtract: ["$$NOW", olderThanMs] }] } };
  const old = await mongo.attempt(() => uploads.find(filter, { sort: { startTime: 1 }, limit: sweepBatch }).toArray());
  let removed = 0;
  for (const { _id, key } of old) {
    const record = await mongo.attempt(() => payloads.findOne({ _id: key }, { projection: { blob: 1 } }));
    if (record?.blob?.equals(_id)) {
      await mongo.attempt(() => uploads.deleteOne({ _id }));
    } else {
      await removeUpload(mongo, _id);
      removed++;
    }
  }
  return removed;
}
