import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Expired, LonghaulError } from "@longhaul/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { delivered, delivery, keyOf, nodeRun, queued, running, succeeded, startOfTime as t0 } from "../contract/index.ts";
import { commitGroup } from "./commit-group.ts";
import { openConnection, openRaw } from "./connection.ts";
import { migrate, migrations } from "./migrations.ts";
import { openSqlite } from "./open-sqlite.ts";
import { sqlitePayloadStore } from "./payload-store.ts";
import { procedures } from "./procedures.ts";
import { inlineReader } from "./reader.ts";
import { taskRemoval } from "./remove-tasks.ts";
import { taskCache } from "./task-cache.ts";
import { sqliteTaskStore } from "./task-store.ts";
import { inlineCommitter, sqliteWriter, type Writer } from "./writer.ts";

let folder = "";
let file = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-sqlite-"));
  file = join(folder, "data.db");
});
afterEach(() => rm(folder, { recursive: true }));

const forever = Number.MAX_SAFE_INTEGER;
const expired = (id: string, rev = 0): Expired => ({ project: "acme", id, rev, settledAt: t0 + 100 });

/** How many rows of a file's table there are, seen from outside. */
function count(path: string, table: string): unknown {
  const db = openRaw(path, 1_000);
  try {
    return db.prepare(`SELECT count(*) FROM ${table}`).get([])?.[0];
  } finally {
    db.close();
  }
}

test("cut off after any transaction, a removal leaves whole tasks and invisible ones, and the next one ends it", async () => {
  const db = openConnection(":memory:", 0, 1_024);
  migrate(db, ":memory:");
  const writer = sqliteWriter(inlineCommitter(commitGroup(db, procedures(db))), () => {});
  const cache = taskCache(0, 0, () => 0);
  const store = sqliteTaskStore(db, writer, inlineReader(db), cache);
  const payloads = sqlitePayloadStore(db, writer);
  const bounds = { tasks: 2, rows: 2, bytes: 1 };
  const rows = (sql: string) => db.prepare(sql).all([]).flat();
  let cuts = 0;

  for (let writes = 0; ; writes++) {
    const tasks = [1, 2, 3].map(() => succeeded({ labels: { team: "blue" }, text: "words" }));
    const keys = tasks.flatMap(({ id }) => [`${id}/input`, `${id}/a/1/1/output`, `${id}/b/1/1/output`]);
    await store.insert(tasks);
    await store.putNodeRuns(tasks.flatMap((task) => ["a", "b", "c"].map((path) => nodeRun(task, { path }))));
    await payloads.put(keys.map((key) => ({ key, json: "1" })));

    let left = writes;
    const dying: Writer = {
      ...writer,
      write: (...args) => (left-- > 0 ? writer.write(...args) : Promise.reject(new Error("killed"))),
    };
    const removed = await taskRemoval(db, dying, bounds)
      .remove(await store.listExpired(forever, 9), () => {})
      .catch(() => "killed");

    const stored = rows("SELECT id FROM tasks");
    for (const id of rows("SELECT task_id FROM node_runs")) expect(stored).toContain(id);
    for (const key of rows("SELECT key FROM payloads")) expect(stored).toContain(String(key).split("/")[0]);
    const listed = await store.list({ project: "acme", limit: 9 });
    for (const [at, found] of (await store.get(tasks.map(keyOf))).entries()) {
      const task = tasks[at] ?? queued();
      expect(listed.some((one) => one.task.id === task.id)).toBe(found !== undefined);
      if (found) {
        expect(await store.listNodeRuns(keyOf(task), 9)).toHaveLength(3);
        expect(await payloads.get(keys.filter((key) => key.startsWith(task.id)))).toEqual(["1", "1", "1"]);
      } else if (stored.includes(task.id)) {
        expect(await store.insert([queued({ id: task.id })])).toEqual(["exists"]);
        expect(await store.replace([{ next: task, rev: 0 }])).toEqual(["stale"]);
      }
    }
    const rest = await store.listExpired(forever, 9);
    expect(rest.map((one) => one.id).sort()).toEqual([...stored].sort());
    expect(rest.every((one) => one.project === "acme" && one.settledAt === t0 + 100)).toBe(true);
    await store.remove(rest);
    for (const table of ["tasks", "bodies", "task_labels", "node_runs", "payloads"]) {
      expect(rows(`SELECT count(*) FROM ${table}`)).toEqual([0]);
    }
    if (removed === 3) break;
    expect(removed).toBe("killed");
    cuts++;
  }
  expect(cuts).toBeGreaterThan(10);
});

test("the rows and the words of what is removed are gone from the files", async () => {
  const stores = openSqlite({ file });
  const tasks = Array.from({ length: 40 }, (_, at) => succeeded({ text: `word${at}`, labels: { n: `${at}` } }));
  await stores.tasks.insert(tasks);
  expect(await stores.tasks.list({ project: "acme", q: "word7", limit: 9 })).toHaveLength(1);
  expect(await stores.tasks.remove(tasks.slice(0, 30).map((task) => expired(task.id)))).toBe(30);
  await stores.close();
  for (const table of ["tasks", "bodies", "task_labels"]) expect(count(file, table)).toBe(10);
  expect(count(`${file}.search`, "words_docsize")).toBe(10);
});

test("after the latest task was removed and the file opened anew, a new task is not found by the words of the old one", async () => {
  const first = openSqlite({ file });
  const [old, latest] = [succeeded({ text: "older" }), succeeded({ text: "needle" })];
  await first.tasks.insert([old, latest]);
  expect(await first.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await first.tasks.remove([expired(latest.id)]);
  await first.close();
  const second = openSqlite({ file });
  const fresh = queued({ text: "thread" });
  await second.tasks.insert([fresh]);
  expect(await second.tasks.list({ project: "acme", q: "needle", limit: 9 })).toEqual([]);
  expect(await second.tasks.list({ project: "acme", q: "thread", limit: 9 })).toStrictEqual([{ task: fresh, rev: 0 }]);
  await second.close();
  expect(count(`${file}.search`, "words_docsize")).toBe(2);
});

test("words of removed tasks that a dying process left behind go with the next start", async () => {
  const first = openSqlite({ file });
  const tasks = [1, 2, 3].map(() => succeeded({ text: "needle" }));
  await first.tasks.insert(tasks);
  expect(await first.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(3);
  await first.close();
  const db = openRaw(file, 0);
  db.exec("DELETE FROM tasks WHERE seq < 3; DELETE FROM bodies WHERE seq < 3");
  db.close();
  expect(count(`${file}.search`, "words_docsize")).toBe(3);
  const second = openSqlite({ file });
  expect(await second.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await second.close();
  expect(count(`${file}.search`, "words_docsize")).toBe(1);
});

test("data of the form before retention is brought to it: what is settled expires, what is not stays", async () => {
  const old = openRaw(file, 0);
  migrate(old, file, migrations.slice(0, 1));
  const heads = {
    ended: { state: "succeeded", endTime: t0 + 5 },
    owing: { state: "failed", endTime: t0 },
    live: { state: "running" },
  };
  for (const [id, head] of Object.entries(heads)) {
    old
      .prepare("INSERT INTO tasks VALUES (NULL, ?, 'acme', 7, 'w', 0, 1, 3, 3, ?, NULL, ?, NULL)")
      .run([id, id === "ended" ? null : t0, JSON.stringify(head)]);
  }
  const fixed = JSON.stringify({ createTime: t0 + 1 });
  for (const [seq, attempts] of [[], [{ time: t0 + 3 }, { time: t0 + 8 }]].entries()) {
    old.prepare("INSERT INTO delivery_bodies VALUES (?, ?, '')").run([seq, fixed]);
    old
      .prepare("INSERT INTO deliveries VALUES (?, ?, 'acme', 't', 'e', 2, NULL, NULL, ?)")
      .run([seq, `done${seq}`, JSON.stringify({ attempts })]);
  }
  old.prepare("INSERT INTO delivery_bodies VALUES (9, ?, '')").run([fixed]);
  old.prepare("INSERT INTO deliveries VALUES (9, 'unreported', 'acme', 't', 'e', 2, NULL, 1, '{}')").run([]);
  old.close();
  const stores = openSqlite({ file });
  expect(await stores.tasks.listExpired(forever, 9)).toStrictEqual([{ project: "acme", id: "ended", rev: 3, settledAt: t0 + 5 }]);
  expect((await stores.deliveries.listExpired(forever, 9)).map((one) => [one.id, one.settledAt])).toEqual([
    ["done0", t0 + 1],
    ["done1", t0 + 8],
  ]);
  await stores.close();
});

test("a removal while the database is held by another program is refused with unavailable and changes nothing", async () => {
  const stores = openSqlite({ file, busyTimeoutMs: 10 });
  const task = succeeded();
  const one = { ...delivered(delivery()), unreported: false };
  await stores.tasks.insert([task, running()]);
  await stores.deliveries.insert([one]);
  const other = openRaw(file, 0);
  other.exec("BEGIN IMMEDIATE");
  const refused = expect.objectContaining({ code: "unavailable" });
  await expect(stores.tasks.remove([expired(task.id)])).rejects.toEqual(refused);
  await expect(stores.deliveries.remove(await stores.deliveries.listExpired(forever, 1))).rejects.toBeInstanceOf(LonghaulError);
  other.exec("ROLLBACK");
  other.close();
  expect(await stores.tasks.get([keyOf(task)])).toStrictEqual([{ task, rev: 0 }]);
  expect(await stores.tasks.remove([expired(task.id)])).toBe(1);
  await stores.close();
});
