import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keyOf, nodeRun, queued, running } from "../contract/index.ts";
import { openRaw } from "./connection.ts";
import { migrate, migrations } from "./migrations.ts";
import { openSqlite } from "./open-sqlite.ts";

let folder = "";
let file = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-sqlite-"));
  file = join(folder, "data.db");
});
afterEach(() => rm(folder, { recursive: true }));

/** Runs test-child.ts with a role; its lines of output one by one. */
function child(role: string) {
  const path = fileURLToPath(new URL("./test-child.ts", import.meta.url));
  const args = ["--import", "tsx", "--conditions=@longhaul/source", path, role, file];
  const process_ = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: process_.stdout })[Symbol.asyncIterator]();
  return { process: process_, exited: once(process_, "exit"), next: async () => String((await lines.next()).value) };
}

test("everything that was answered before a kill -9 is there afterwards", async () => {
  const answered: string[] = [];
  for (let round = 0; round < 2; round++) {
    const writer = child(`write-${round}`);
    for (let count = 0; count < 300; count++) answered.push(await writer.next());
    writer.process.kill("SIGKILL");
    await writer.exited;
  }
  const stores = openSqlite({ file });
  const found = await stores.tasks.get(answered.map((id) => ({ project: "acme", id })));
  expect(found.filter((one) => one?.rev === 1 && one.task.state === "running")).toHaveLength(600);
  const runs = await Promise.all(answered.map((id) => stores.tasks.listNodeRuns({ project: "acme", id }, 10)));
  expect(runs.every((list) => list.length === 1)).toBe(true);
  expect(await stores.payloads.get(answered)).toEqual(answered.map((id) => JSON.stringify(id)));
  // The search index was cut off at any point, and catches up.
  expect(await stores.tasks.list({ project: "acme", q: "killed", limit: 2_000 })).toHaveLength(
    (await stores.tasks.list({ project: "acme", limit: 2_000 })).length,
  );
  await stores.close();
});

test("a second process on the same file is refused with a sentence, until the first one is gone", async () => {
  const holder = child("hold");
  expect(await holder.next()).toBe("open");
  expect(() => openSqlite({ file })).toThrow(
    expect.objectContaining({ code: "unavailable", message: expect.stringContaining("Another Longhaul process uses") }),
  );
  holder.process.kill("SIGKILL");
  await holder.exited;
  await openSqlite({ file }).close();
});

test("a second opening in the same process is refused too", async () => {
  const first = openSqlite({ file });
  expect(() => openSqlite({ file })).toThrow(/Another Longhaul process uses/);
  await first.close();
  await openSqlite({ file }).close();
});

test("data of a newer version is refused with a sentence and left as it is", async () => {
  await openSqlite({ file }).close();
  const db = openRaw(file, 0);
  db.exec(`UPDATE schema_version SET version = ${migrations.length + 1}`);
  db.close();
  expect(() => openSqlite({ file })).toThrow(
    expect.objectContaining({ code: "precondition_failed", message: expect.stringContaining("written by a newer Longhaul") }),
  );
  const after = openRaw(file, 0);
  expect(after.prepare("SELECT version FROM schema_version").get([])).toEqual([migrations.length + 1]);
  after.close();
});

test("each later step of the schema is done once, and one that fails leaves nothing behind", () => {
  const db = openRaw(file, 0);
  migrate(db, file, ["CREATE TABLE a (x)"]);
  migrate(db, file, ["CREATE TABLE a (x)", "CREATE TABLE b (x)"]);
  expect(() => migrate(db, file, ["", "", "CREATE TABLE c (x); CREATE TABLE b (x)"])).toThrow(/already exists/);
  expect(db.prepare("SELECT version FROM schema_version").get([])).toEqual([2]);
  expect(db.prepare("SELECT name FROM sqlite_master WHERE name IN ('a', 'b', 'c') ORDER BY name").all([])).toEqual([
    ["a"],
    ["b"],
  ]);
  db.close();
});

test("another program's database, a file that is none and a folder that is not there are refused with a sentence", async () => {
  const db = openRaw(file, 0);
  db.exec("CREATE TABLE theirs (x)");
  db.close();
  expect(() => openSqlite({ file })).toThrow(/is a database of another program/);
  const text = join(folder, "text.db");
  await writeFile(text, "This is no database. ".repeat(1_000));
  expect(() => openSqlite({ file: text })).toThrow(/can't be opened\. The database file is damaged or not a database/);
  expect(() => openSqlite({ file: join(folder, "nowhere", "data.db") })).toThrow(/folder does not exist/);
});

test("a closed store refuses reads and writes with unavailable, and finishes what was under way", async () => {
  const stores = openSqlite({ file });
  const task = queued();
  const underWay = stores.tasks.insert([task]);
  const closing = stores.close();
  expect(await underWay).toEqual(["inserted"]);
  await closing;
  await stores.close();
  const unavailable = expect.objectContaining({ code: "unavailable" });
  await expect(stores.tasks.insert([queued()])).rejects.toEqual(unavailable);
  await expect(stores.tasks.get([keyOf(queued())])).rejects.toEqual(unavailable);
  await expect(stores.tasks.list({ project: "acme", limit: 1 })).rejects.toEqual(unavailable);
  await expect(stores.tasks.nextDue([1])).rejects.toEqual(unavailable);
  await expect(stores.tasks.listChildren("acme", task.id, 1)).rejects.toEqual(unavailable);
  await expect(stores.tasks.getNodeRuns([{ ...keyOf(task), path: "a" }])).rejects.toEqual(unavailable);
  await expect(stores.tasks.listNodeRuns(keyOf(task), 1, undefined, { top: true })).rejects.toEqual(unavailable);
  await expect(stores.payloads.put([{ key: "a", json: "1" }])).rejects.toEqual(unavailable);
  await expect(stores.payloads.get(["a"])).rejects.toEqual(unavailable);
  await expect(stores.catalog.getHead("acme", "a")).rejects.toEqual(unavailable);
  await expect(stores.leases.list(1)).rejects.toEqual(unavailable);
  await expect(stores.deliveries.nextDue()).rejects.toEqual(unavailable);
});

test("while another program holds the database a write is refused with unavailable and its cause, and later ones succeed", async () => {
  const stores = openSqlite({ file, busyTimeoutMs: 10 });
  const other = openRaw(file, 0);
  other.exec("BEGIN IMMEDIATE");
  const task = queued();
  const refused = await stores.tasks.insert([task]).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "unavailable", cause: { code: "SQLITE_BUSY" } });
  expect(await stores.tasks.get([keyOf(task)])).toEqual([undefined]);
  other.exec("ROLLBACK");
  other.close();
  expect(await stores.tasks.insert([task])).toEqual(["inserted"]);
  await stores.close();
});

test("the search file may vanish or belong to other data: it is filled anew", async () => {
  const first = openSqlite({ file });
  await first.tasks.insert([queued({ text: "needle" }), queued({ text: "hay" })]);
  expect(await first.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await first.close();
  expect(existsSync(`${file}.search`)).toBe(true);
  await rm(`${file}.search`);
  const second = openSqlite({ file });
  expect(await second.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await second.close();
  // Other data under the same name.
  await rm(file);
  const third = openSqlite({ file });
  await third.tasks.insert([queued({ text: "hay" }), queued({ text: "needle too" })]);
  expect(await third.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await third.close();
});

test("a search file that is damaged is thrown away and filled anew", async () => {
  await writeFile(`${file}.search`, "This is no database. ".repeat(1_000));
  const stores = openSqlite({ file });
  await stores.tasks.insert([queued({ text: "needle" })]);
  expect(await stores.tasks.list({ project: "acme", q: "needle", limit: 9 })).toHaveLength(1);
  await stores.close();
});

test("what is reopened is what was stored", async () => {
  const first = openSqlite({ file });
  const task = queued({ labels: { team: "blue" }, text: "some words" });
  await first.tasks.insert([task]);
  await first.tasks.replace([{ next: running({ id: task.id }), rev: 0, nodeRuns: [nodeRun(task)] }]);
  await first.close();
  const second = openSqlite({ file });
  const [found] = await second.tasks.get([keyOf(task)]);
  expect(found).toStrictEqual({ task: { ...running({ id: task.id }), labels: task.labels, text: task.text }, rev: 1 });
  expect(await second.tasks.insert([task, queued()])).toEqual(["exists", "inserted"]);
  await second.close();
});
