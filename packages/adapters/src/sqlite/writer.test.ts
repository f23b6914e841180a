import { expect, test } from "vitest";
import { commitGroup } from "./commit-group.ts";
import { type Connection, openRaw } from "./connection.ts";
import { inlineCommitter, sqliteWriter, type Writer } from "./writer.ts";

interface Puts {
  /** Puts keys one after the other; how many. */
  put(keys: readonly string[]): number;
}

function opened(onCommit: (bytes: number) => void = () => {}): {
  readonly db: Connection;
  readonly writer: Writer<Puts>;
  readonly keys: () => unknown[];
} {
  const db = openRaw(":memory:", 0);
  db.exec("CREATE TABLE t (key TEXT PRIMARY KEY NOT NULL)");
  const insert = db.prepare("INSERT INTO t VALUES (?)");
  const select = db.prepare("SELECT key FROM t ORDER BY key");
  const puts: Puts = { put: (keys) => keys.reduce((count, key) => count + insert.run([key]), 0) };
  const writer = sqliteWriter<Puts>(inlineCommitter(commitGroup(db, puts)), onCommit);
  return { db, writer, keys: () => select.all([]).flat() };
}

test("writes of one turn share one commit", async () => {
  const commits: number[] = [];
  const { writer, keys } = opened((bytes) => commits.push(bytes));
  const results = await Promise.all([["a"], ["b", "c"], []].map((some) => writer.write(10, "put", some)));
  expect(results).toEqual([1, 2, 0]);
  expect(keys()).toEqual(["a", "b", "c"]);
  expect(commits).toEqual([30]);
});

test("a write that fails leaves nothing of itself, and its neighbours are written", async () => {
  const { writer, keys } = opened();
  const told: string[] = [];
  const write = (...all: string[]) => writer.write(1, "put", all, () => void told.push(...all));
  const outcomes = await Promise.allSettled([write("a"), write("b", "c", "a"), write("d"), write("d"), write("e")]);
  expect(outcomes.map((one) => one.status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"]);
  expect(outcomes[1]).toMatchObject({ reason: { code: "internal", cause: { code: "SQLITE_CONSTRAINT_PRIMARYKEY" } } });
  expect(keys()).toEqual(["a", "d", "e"]);
  expect(told).toEqual(["a", "d", "e"]);
  await write("f");
  expect(keys()).toEqual(["a", "d", "e", "f"]);
});

test("a full disk refuses the whole group with unavailable, and nothing of it is there", async () => {
  const { db, writer, keys } = opened();
  await writer.write(1, "put", ["before"]);
  db.exec("PRAGMA max_page_count = 4");
  const told: string[] = [];
  const outcomes = await Promise.allSettled([
    writer.write(1, "put", ["small"], () => told.push("small")),
    writer.write(1, "put", ["x".repeat(100_000)]),
    writer.write(1, "put", ["after"], () => told.push("after")),
  ]);
  const refused = { status: "rejected", reason: { code: "unavailable", retryAfterMs: 1_000, cause: { code: "SQLITE_FULL" } } };
  expect(outcomes).toMatchObject([refused, refused, refused]);
  expect(told).toEqual([]);
  expect(keys()).toEqual(["before"]);
  expect(db.inTransaction()).toBe(false);
  await writer.write(1, "put", ["again"]);
  expect(keys()).toEqual(["again", "before"]);
});

test("closing lets through what was accepted and refuses what comes later", async () => {
  const { writer, keys } = opened();
  const early = writer.write(1, "put", ["early"]);
  const closing = writer.close();
  await expect(writer.write(1, "put", ["late"])).rejects.toMatchObject({ code: "unavailable" });
  await Promise.all([early, closing]);
  expect(keys()).toEqual(["early"]);
});
