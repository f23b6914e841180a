import { testDatabase } from "@longhaul/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keyOf, nodeRun, queued, succeeded, startOfTime as t0 } from "../contract/index.ts";
import { connectMongo, type Mongo } from "./connection.ts";
import { migrate } from "./migrate.ts";
import { mongoPayloadStore } from "./payload-store.ts";
import { removeTasks } from "./remove-tasks.ts";
import { indexTexts } from "./search-index.ts";
import { mongoTaskStore } from "./task-store.ts";

let mongo: Mongo;
const forever = Number.MAX_SAFE_INTEGER;
const large = JSON.stringify("ä".repeat(200_000));
const collections = [
  "tasks",
  "node_runs",
  "payloads",
  "payload_uploads",
  "payload_blobs.files",
  "payload_blobs.chunks",
  "search",
];

beforeEach(async () => {
  mongo = connectMongo({ url: testDatabase().url });
  await migrate(mongo);
});

afterEach(async () => {
  await mongo.db.dropDatabase();
  await mongo.close();
});

const count = (collection: string, filter = {}) => mongo.db.collection(collection).countDocuments(filter);
const counts = async () => Object.fromEntries(await Promise.all(collections.map(async (name) => [name, await count(name)])));

/** Dies after so many operations, as a process would: whatever it asks for later never happens. */
function dying(operations: number): Mongo {
  let left = operations;
  const orDie = <T>(go: () => Promise<T>): Promise<T> => (left-- > 0 ? go() : Promise.reject(new Error("killed")));
  return {
    ...mongo,
    attempt: (operation, budgetMs) => orDie(() => mongo.attempt(operation, budgetMs)),
    command: (command, budgetMs) => orDie(() => mongo.command(command, budgetMs)),
  };
}

test("cut off after any operation, a removal leaves whole tasks and invisible ones, and the next one ends it", {
  timeout: 180_000,
}, async () => {
  const store = mongoTaskStore(mongo);
  const payloads = mongoPayloadStore(mongo);
  let cuts = 0;
  for (let operations = 0; ; operations++) {
    const tasks = [1, 2].map(() => succeeded({ text: "needle", labels: { team: "blue" } }));
    const keys = tasks.flatMap(({ id }) => [`${id}/input`, `${id}/a/1/1/output`]);
    await store.insert(tasks);
    await store.putNodeRuns(tasks.map((task) => nodeRun(task)));
    await payloads.put(keys.map((key, at) => ({ key, json: at % 2 === 0 ? "1" : large })));
    await indexTexts(mongo, 1);

    const removed = await removeTasks(dying(operations), await store.listExpired(forever, 9)).catch(() => "killed");
    const found = await store.get(tasks.map(keyOf));
    // Both go with one statement.
    const isWhole = found.every((one) => one !== undefined);
    expect(await store.list({ project: "acme", limit: 9 })).toHaveLength(isWhole ? 2 : 0);
    expect(await store.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(isWhole ? 2 : 0);
    expect(await store.list({ project: "acme", q: tasks[0]?.id ?? "", limit: 9 })).toHaveLength(isWhole ? 1 : 0);
    if (isWhole) {
      expect(await payloads.get(keys)).toEqual(["1", large, "1", large]);
      expect(await count("node_runs")).toBe(2);
    } else {
      expect(found).toEqual([undefined, undefined]);
    }
    const rest = await store.listExpired(forever, 9);
    if (!isWhole && rest.length > 0) {
      const [task] = tasks;
      expect(await store.insert([queued({ id: task?.id ?? "" })])).toEqual(["exists"]);
      expect(await store.replace(tasks.map((next) => ({ next, rev: 0 })))).toEqual(["stale", "stale"]);
    }
    // Whatever is left belongs to a task that is still there.
    if (rest.length === 0) expect(await counts()).toEqual(Object.fromEntries(collections.map((name) => [name, 0])));
    await store.remove(rest);
    expect(await counts()).toEqual(Object.fromEntries(collections.map((name) => [name, 0])));
    if (removed === 2) break;
    expect(removed).toBe("killed");
    cuts++;
  }
  expect(cuts).toBeGreaterThan(8);
});

test("a removal that takes too long stops with its tasks invisible, and is gone on with when they are listed again", async () => {
  const store = mongoTaskStore(mongo);
  const task = succeeded();
  await store.insert([task]);
  await store.putNodeRuns([nodeRun(task)]);
  expect(await removeTasks(mongo, await store.listExpired(forever, 9), -1)).toBe(0);
  expect(await store.get([keyOf(task)])).toEqual([undefined]);
  expect(await count("node_runs")).toBe(1);
  const rest = await store.listExpired(forever, 9);
  expect(rest).toStrictEqual([{ project: "acme", id: task.id, rev: 1, settledAt: t0 + 100 }]);
  expect(await store.remove(rest)).toBe(1);
  expect(await counts()).toMatchObject({ tasks: 0, node_runs: 0 });
});

test("whoever was overtaken by another sweeper does not remove the task under its feet", async () => {
  const store = mongoTaskStore(mongo);
  const task = succeeded();
  await store.insert([task]);
  const listed = await store.listExpired(forever, 9);
  // The first one is held up right after its mark; the second one takes over meanwhile.
  let resume: (() => void) | undefined;
  const held = new Promise<void>((go) => {
    resume = go;
  });
  let isMarked: (() => void) | undefined;
  const marked = new Promise<void>((tell) => {
    isMarked = tell;
  });
  const slow: Mongo = {
    ...mongo,
    attempt: async (operation, budgetMs) => {
      isMarked?.();
      await held;
      return await mongo.attempt(operation, budgetMs);
    },
  };
  const first = removeTasks(slow, listed);
  await marked;
  expect(await store.remove(listed)).toBe(0);
  expect(await removeTasks(mongo, await store.listExpired(forever, 9), -1)).toBe(0);
  resume?.();
  expect(await first).toBe(0);
  expect(await count("tasks")).toBe(1);
  expect(await store.remove(await store.listExpired(forever, 9))).toBe(1);
});

test("a segment of words stays while any of its tasks does, and goes with the last of them", async () => {
  const store = mongoTaskStore(mongo);
  const tasks = ["acme", "acme", "acme", "other"].map((project) => succeeded({ project, text: "needle" }));
  await store.insert(tasks);
  await indexTexts(mongo, 1);
  expect(await count("search")).toBe(2);
  const all = await store.listExpired(forever, 9);
  const of = (from: number, to: number) => all.filter((one) => tasks.slice(from, to).some((task) => task.id === one.id));
  await store.remove(of(0, 2));
  expect(await count("search")).toBe(2);
  expect(await store.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await store.remove(of(2, 4));
  expect(await count("search")).toBe(0);
});
