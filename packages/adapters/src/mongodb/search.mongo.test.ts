import { testDatabase } from "@longhaul/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { queued, startOfTime as t0 } from "../contract/index.ts";
import { connectMongo, type Mongo } from "./connection.ts";
import { migrate } from "./migrate.ts";
import { indexTexts, segmentSize, startSearchIndexer } from "./search-index.ts";
import { mongoTaskStore } from "./task-store.ts";

let mongo: Mongo;

beforeEach(async () => {
  mongo = connectMongo({ url: testDatabase().url });
  await migrate(mongo);
});

afterEach(async () => {
  await mongo.db.dropDatabase();
  await mongo.close();
});

const count = (collection: string, filter = {}) => mongo.db.collection(collection).countDocuments(filter);
const make = (from: number, to: number, project = "acme") =>
  Array.from({ length: to - from }, (_, at) =>
    queued({ project, createTime: t0 + from + at, text: `common n${from + at} ${at % 2 === 0 ? "even" : "odd"}` }),
  );

test("a few unindexed tasks are left as they are, a full batch moves into one segment", async () => {
  const store = mongoTaskStore(mongo);
  await store.insert(make(0, segmentSize - 1));
  expect(await indexTexts(mongo)).toBe(0);
  await store.insert(make(segmentSize, segmentSize + 2));
  expect(await indexTexts(mongo)).toBe(segmentSize);
  expect(await indexTexts(mongo)).toBe(0);
  expect(await count("search")).toBe(1);
  expect(await count("tasks", { unindexed: true })).toBe(1);
});

test("a search sees indexed and unindexed tasks as one list, newest first, whatever segment they are in", async () => {
  const store = mongoTaskStore(mongo);
  // Segments overlap in time, because tasks do not come in the order of their times.
  const tasks = make(0, 700).sort((a, b) => ((a.createTime * 7_919) % 701) - ((b.createTime * 7_919) % 701));
  await store.insert(tasks.slice(0, 300));
  await indexTexts(mongo, 1);
  await store.insert(tasks.slice(300, 500));
  await indexTexts(mongo, 1);
  await indexTexts(mongo, 1);
  await store.insert(tasks.slice(500));
  const expected = tasks.filter((task) => task.text.includes("odd")).sort((a, b) => b.createTime - a.createTime);
  const found: string[] = [];
  let after: { createTime: number; id: string } | undefined;
  for (;;) {
    const page = await store.list({ project: "acme", q: "odd common", limit: 31, ...(after ? { after } : {}) });
    const last = page.at(-1)?.task;
    if (!last) break;
    found.push(...page.map((one) => one.task.id));
    after = { createTime: last.createTime, id: last.id };
  }
  expect(found).toEqual(expected.map((task) => task.id));
});

test("a crash between the segment and the marks makes no task appear twice", async () => {
  const store = mongoTaskStore(mongo);
  await store.insert(make(0, 20));
  await indexTexts(mongo, 1);
  await mongo.db.collection("tasks").updateMany({}, { $set: { unindexed: true } });
  expect(await store.list({ project: "acme", q: "common", limit: 100 })).toHaveLength(20);
  await indexTexts(mongo, 1);
  expect(await count("search")).toBe(2);
  expect(await store.list({ project: "acme", q: "common", limit: 100 })).toHaveLength(20);
});

test("projects are indexed apart", async () => {
  const store = mongoTaskStore(mongo);
  await store.insert([...make(0, 5), ...make(0, 5, "other")]);
  await indexTexts(mongo, 1);
  expect(await count("search")).toBe(2);
  const found = await store.list({ project: "other", q: "n3", limit: 10 });
  expect(found.map((one) => one.task.project)).toEqual(["other"]);
});

test("a changed task keeps its place in the index", async () => {
  const store = mongoTaskStore(mongo);
  const [task] = make(0, 1);
  if (!task) throw new Error("no task");
  await store.insert([task]);
  await indexTexts(mongo, 1);
  expect(await store.replace([{ next: { ...task, version: 2 }, rev: 0 }])).toEqual(["replaced"]);
  expect((await store.list({ project: "acme", q: "n0", limit: 1 }))[0]?.rev).toBe(1);
  expect(await count("tasks", { unindexed: true })).toBe(0);
});

function fail(error: unknown): never {
  throw error;
}

test("the background indexer works off what waits, and stops when told", async () => {
  const store = mongoTaskStore(mongo);
  await store.insert(make(0, segmentSize * 2));
  const stop = startSearchIndexer(mongo, fail, () => 0);
  await expect.poll(() => count("tasks", { unindexed: true }), { timeout: 20_000 }).toBe(0);
  await stop();
  await store.insert(make(segmentSize * 2, segmentSize * 3));
  expect(await count("search")).toBe(2);
});

test("the background indexer leaves a busy process alone, and a search finds the tasks all the same", async () => {
  const store = mongoTaskStore(mongo);
  await store.insert(make(0, segmentSize * 2));
  let asked = 0;
  let share = 1;
  const stop = startSearchIndexer(mongo, fail, () => {
    asked++;
    return share;
  });
  // Asked a second time, it has done with its first turn.
  await expect.poll(() => asked, { timeout: 20_000 }).toBeGreaterThan(1);
  expect(await count("search")).toBe(0);
  expect((await store.list({ project: "acme", q: "n7 common", limit: 5 })).map((one) => one.task.text)).toEqual([
    "common n7 odd",
  ]);
  share = 0;
  await expect.poll(() => count("tasks", { unindexed: true }), { timeout: 20_000 }).toBe(0);
  await stop();
});

test("the background indexer works in a busy process too when too many tasks wait", async () => {
  const store = mongoTaskStore(mongo);
  await store.insert(make(0, segmentSize * 2));
  const stop = startSearchIndexer(mongo, fail, () => 1, segmentSize + 1);
  await expect.poll(() => count("search"), { timeout: 20_000 }).toBeGreaterThan(0);
  await stop();
});
