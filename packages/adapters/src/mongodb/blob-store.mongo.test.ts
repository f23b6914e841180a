import { testDatabase } from "@longhaul/testkit";
import { ObjectId } from "mongodb";
import { afterEach, beforeEach, expect, test } from "vitest";
import { blobStore, sweepBlobs } from "./blob-store.ts";
import { connectMongo, type Mongo } from "./connection.ts";
import { migrate } from "./migrate.ts";
import { mongoPayloadStore } from "./payload-store.ts";

let mongo: Mongo;
const large = JSON.stringify("ä".repeat(400_000));

beforeEach(async () => {
  mongo = connectMongo({ url: testDatabase().url });
  await migrate(mongo);
});

afterEach(async () => {
  await mongo.db.dropDatabase();
  await mongo.close();
});

const count = (collection: string) => mongo.db.collection(collection).countDocuments();

test("a payload lies in its record below 256 KiB and in GridFS from there on", async () => {
  const store = mongoPayloadStore(mongo);
  const at = (bytes: number) => JSON.stringify("x".repeat(bytes - 2));
  await store.put([
    { key: "below", json: at(262_143) },
    { key: "from", json: at(262_144) },
    { key: "utf8", json: JSON.stringify("ä".repeat(131_072)) },
  ]);
  expect(await count("payload_blobs.files")).toBe(2);
  expect(await count("payload_uploads")).toBe(0);
});

test("when several put one large payload at once a single file stays", async () => {
  const store = mongoPayloadStore(mongo);
  await Promise.all(Array.from({ length: 5 }, () => store.put([{ key: "k", json: large }])));
  expect(await count("payload_blobs.files")).toBe(1);
  expect(await count("payload_uploads")).toBe(0);
  expect(await store.get(["k"])).toEqual([large]);
});

test("an upload that was never finished is invisible, and swept once it is old, chunks and all", async () => {
  const store = mongoPayloadStore(mongo);
  await blobStore(mongo).write(new ObjectId(), "half", large);
  expect(await store.get(["half"])).toEqual([undefined]);
  expect(await sweepBlobs(mongo)).toBe(0);
  expect(await sweepBlobs(mongo, -1_000)).toBe(1);
  expect([await count("payload_blobs.files"), await count("payload_blobs.chunks"), await count("payload_uploads")]).toEqual([
    0, 0, 0,
  ]);
});

test("a sweep keeps a file that a record points at, though its confirmation was lost", async () => {
  const store = mongoPayloadStore(mongo);
  const blob = new ObjectId();
  await blobStore(mongo).write(blob, "k", large);
  await mongo.db.collection<{ _id: string; blob: ObjectId }>("payloads").insertOne({ _id: "k", blob });
  expect(await sweepBlobs(mongo, -1_000)).toBe(0);
  expect(await count("payload_uploads")).toBe(0);
  expect(await store.get(["k"])).toEqual([large]);
});

test("writing a file again after a failure in the middle leaves one whole file", async () => {
  const blob = new ObjectId();
  const blobs = blobStore(mongo);
  await blobs.write(blob, "k", large);
  await mongo.db.collection("payload_blobs.files").deleteOne({ _id: blob });
  await blobs.write(blob, "k", large);
  expect(await blobs.read(blob)).toBe(large);
});
