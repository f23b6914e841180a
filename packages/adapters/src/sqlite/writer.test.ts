import { expect, test } from "vitest";
import { type Connection, openRaw } from "./connection.ts";
import { sqliteWriter } from "./writer.ts";

function opened(): { readonly db: Connection; readonly put: (key: string) => number; readonly keys: () => unknown[] } {
  const db = openRaw(":memory:", 0);
  db.exec("CREATE TABLE t (key TEXT PRIMARY KEY NOT NULL)");
  const insert = db.prepare("INSERT INTO t VALUES (?)");
  const select = db.prepare("SELECT key FROM t ORDER BY key");
  return { db, put: (key) => insert.run([key]), keys: () => select.all([]).flat() };
}

test("writes of one turn share one commit", async () => {
  const { db, put, keys } = opened();
  const commits: number[] = [];
  const writer = sqliteWriter(db, (bytes) => commits.push(bytes));
  const results = await Promise.all(["a", "b", "c"].map((key, at) => writer.write(10, () => put(key) + at)));
  expect(results).toEqual([1, 2, 3]);
  expect(keys()).toEqual(["a", "b", "c"]);
  expect(commits).toEqual([30]);
});

test("a write that fails leaves nothing of itself, and its neighbours are written", async () => {
  const { db, put, keys } = opened();
  const writer = sqliteWriter(db, () => {});
  const told: string[] = [];
  const write = (...all: string[]) =>
    writer.write(
      1,
      () => void all.map(put),
      () => void told.push(...all),
    );
  const outcomes = await Promise.allSettled([write("a"), write("b", "c", "a"), write("d"), write("d"), write("e")]);
  expect(outcomes.map((one) => one.status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"]);
  expect(outcomes[1]).toMatchObject({ reason: { code: "internal", cause: { code: "SQLITE_CONSTRAINT_PRIMARYKEY" } } });
  expect(keys()).toEqual(["a", "d", "e"]);
  expect(told).toEqual(["a", "d", "e"]);
  await write("f");
  expect(keys()).toEqual(["a", "d", "e", "f"]);
});

test("a full disk refuses the whole group with unavailable, and nothing of it is there", async () => {
  const { db, put, keys } = opened();
  const writer = sqliteWriter(db, () => {});
  await writer.write(1, () => put("before"));
  db.exec("PRAGMA max_page_count = 4");
  const told: string[] = [];
  const outcomes = await Promise.allSettled([
    writer.write(
      1,
      () => put("small"),
      () => told.push("small"),
    ),
    writer.write(1, () => put("x".repeat(100_000))),
    writer.write(
      1,
      () => put("after"),
      () => told.push("after"),
    ),
  ]);
  const refused = { status: "rejected", reason: { code: "unavailable", retryAfterMs: 1_000, cause: { code: "SQLITE_FULL" } } };
  expect(outcomes).toMatchObject([refused, refused, refused]);
  expect(told).toEqual([]);
  expect(keys()).toEqual(["before"]);
  expect(db.inTransaction()).toBe(false);
  await writer.write(1, () => put("again"));
  expect(keys()).toEqual(["again", "before"]);
});

test("closing lets through what was accepted and refuses what comes later", async () => {
  const { db, put, keys } = opened();
  const writer = sqliteWriter(db, () => {});
  const early = writer.write(1, () => put("early"));
  const closing = writer.close();
  await expect(writer.write(1, () => put("late"))).rejects.toMatchObject({ code: "unavailable" });
  await Promise.all([early, closing]);
  expect(keys()).toEqual(["early"]);
});
