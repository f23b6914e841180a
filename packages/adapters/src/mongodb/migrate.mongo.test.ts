import { testDatabase } from "@longhaul/testkit";
import type { Document } from "mongodb";
import { afterEach, expect, test } from "vitest";
import { delivered, delivery, keyOf, running, succeeded, startOfTime as t0, waiting, waitingFor } from "../contract/index.ts";
import { connectMongo, type Mongo } from "./connection.ts";
import { mongoDeliveryStore } from "./delivery-store.ts";
import { type Migration, migrate, migrations } from "./migrate.ts";
import { openMongo } from "./open-mongo.ts";
import { indexesOf } from "./schema.ts";
import { indexTexts } from "./search-index.ts";
import { mongoTaskStore } from "./task-store.ts";

const opened: Mongo[] = [];

function connect(url = testDatabase().url): Mongo {
  const mongo = connectMongo({ url });
  opened.push(mongo);
  return mongo;
}

afterEach(async () => {
  for (const mongo of opened.splice(0)) {
    await mongo.db.dropDatabase();
    await mongo.close();
  }
});

const version = async (mongo: Mongo) => (await mongo.db.collection("meta").findOne({}))?.["version"];

test("a fresh database gets its version and every index", async () => {
  const mongo = connect();
  await migrate(mongo);
  expect(await version(mongo)).toBe(migrations.at(-1)?.to);
  for (const [collection, descriptions] of Object.entries(indexesOf)) {
    const names = (await mongo.db.collection(collection).indexes()).map((index) => index.name);
    for (const { name } of descriptions) expect(names).toContain(name);
  }
});

test("several services that start at once run each step once, in order", async () => {
  const { url } = testDatabase();
  const ran: number[] = [];
  const steps: Migration[] = [1, 2, 3].map((to) => ({ to, run: async () => void ran.push(to) }));
  await Promise.all(Array.from({ length: 6 }, () => migrate(connect(url), steps)));
  expect(ran).toEqual([1, 2, 3]);
});

test("after a death in the middle of a step the next start takes it up there", async () => {
  const mongo = connect();
  const ran: number[] = [];
  const step = (to: number, fail: boolean): Migration => ({
    to,
    run: () => {
      ran.push(to);
      return fail ? Promise.reject(new Error("died")) : Promise.resolve();
    },
  });
  await expect(migrate(mongo, [step(1, false), step(2, true)])).rejects.toThrow("died");
  expect(await version(mongo)).toBe(1);
  await migrate(mongo, [step(1, false), step(2, false), step(3, false)]);
  expect(ran).toEqual([1, 2, 2, 3]);
});

test("data of the form before retention is brought to it: what is settled expires, and the words are indexed anew", async () => {
  const { url } = testDatabase();
  const mongo = connect(url);
  await migrate(mongo, migrations.slice(0, 1));
  const stores = mongoDeliveryStore(mongo);
  const attempt = { number: 1, status: 200, latencyMs: 1, error: "", responseStart: "" };
  const untried = { ...delivered(delivery()), unreported: false };
  const tried = { ...untried, id: `${untried.id}2`, attempts: [3, 9].map((ms) => ({ ...attempt, time: t0 + ms })) };
  await stores.insert([untried, tried, delivered(delivery()), delivery()]);
  await mongoTaskStore(mongo).insert([succeeded({ text: "needle" }), running({ text: "" })]);
  await indexTexts(mongo, 1);
  await mongo.db.collection("deliveries").updateMany({}, { $unset: { settledAt: "" } });
  await mongo.db.collection("tasks").updateMany({}, { $unset: { segment: "" } });
  for (const round of [1, 2]) {
    await migrate(mongo);
    const expired = await stores.listExpired(Number.MAX_SAFE_INTEGER, 9);
    expect(expired.map((one) => [one.id, one.settledAt - t0])).toEqual([
      [untried.id, 0],
      [tried.id, 9],
    ]);
    expect(await mongoTaskStore(mongo).listExpired(Number.MAX_SAFE_INTEGER, 9)).toHaveLength(1);
    expect(await mongo.db.collection("search").countDocuments()).toBe(0);
    expect(await mongo.db.collection("tasks").countDocuments({ unindexed: true })).toBe(1);
    // As if it had died before it wrote its version.
    if (round === 1) await mongo.db.collection("meta").updateOne({}, { $set: { version: 1 } });
  }
});

test("what the version before wrote, or still writes beside this one, is read whole: debts get keys, waits are lists", async () => {
  const mongo = connect();
  await migrate(mongo, migrations.slice(0, 2));
  const store = mongoTaskStore(mongo);
  const debt = { kind: "webhook", event: "task.succeeded", dueAt: t0, failures: 1 } as const;
  const owing = succeeded({ owes: [{ ...debt, key: debt.event }] });
  const asleep = waiting({ waits: [waitingFor({ kind: "timer", until: t0 + 9, reason: "The node waits." })] });
  await store.insert([owing, asleep]);
  const tasks = mongo.db.collection<Document & { readonly _id: string }>("tasks");
  const [first] = asleep.waits;
  await tasks.updateOne({ _id: owing.id }, { $set: { "head.owes": [debt] } });
  const { reason: _, ...earlier } = first ?? waitingFor();
  const head = { $set: { "head.waitingFor": earlier }, $unset: { "head.waits": "", "head.waitCount": "" } };
  await tasks.updateOne({ _id: asleep.id }, head);
  const found = async () => (await store.get([keyOf(owing), keyOf(asleep)])).map((one) => one?.task);
  expect(await found()).toStrictEqual([owing, asleep]);
  await migrate(mongo);
  expect(await version(mongo)).toBe(4);
  expect(await found()).toStrictEqual([owing, asleep]);
  // The next write brings them to the present form.
  expect(await store.replace([owing, asleep].map((next) => ({ next, rev: 0 })))).toEqual(["replaced", "replaced"]);
  expect(await tasks.countDocuments({ "head.waitingFor": { $exists: true } })).toBe(0);
  expect(await found()).toStrictEqual([owing, asleep]);
});

test("newer data is refused with a sentence that says what to do", async () => {
  const { url, name } = testDatabase();
  const mongo = connect(url);
  await migrate(mongo, [...migrations, { to: 99, run: async () => {} }]);
  const refusal = openMongo({ url, housekeeping: false });
  await expect(refusal).rejects.toMatchObject({ code: "precondition_failed" });
  await expect(refusal).rejects.toThrow(
    new RegExp(`"${name}" was written by a newer Longhaul.*version 99.*Run the newer program`),
  );
});

test("an index that somebody dropped is back after the next start", async () => {
  const mongo = connect();
  await migrate(mongo);
  await mongo.db.collection("tasks").dropIndex("due");
  await migrate(mongo);
  expect((await mongo.db.collection("tasks").indexes()).map((index) => index.name)).toContain("due");
});
