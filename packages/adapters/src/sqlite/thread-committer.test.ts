import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openConnection, openRaw } from "./connection.ts";
import { migrate } from "./migrations.ts";
import { threadCommitter } from "./thread-committer.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-sqlite-"));
});
afterEach(() => rm(folder, { recursive: true }));

const put = (key: string) => [{ name: "putPayloads" as const, argument: [{ key, json: "1" }] }];

test("groups that a lost thread was given are refused with unavailable, and the next group starts another one", async () => {
  const file = join(folder, "later", "data.db");
  const committer = threadCommitter(file, 0, 1_024);
  // There is no such folder yet, so the thread ends before it has looked at anything.
  const lost = { code: "unavailable", message: "The writer of the database stopped.", retryAfterMs: 1_000 };
  const refused = [committer.commit(put("a")), committer.commit(put("b"))];
  for (const one of refused) await expect(one).rejects.toMatchObject(lost);
  await mkdir(join(folder, "later"));
  const db = openConnection(file, 0, 1_024);
  migrate(db, file);
  expect(await committer.commit(put("c"))).toEqual([{ ok: true, value: undefined }]);
  await committer.close();
  expect(db.prepare("SELECT key FROM payloads").all([])).toEqual([["c"]]);
  db.close();
});

test("what is answered is in the file for everybody, in the order in which the groups came", async () => {
  const file = join(folder, "data.db");
  const db = openConnection(file, 0, 1_024);
  migrate(db, file);
  db.close();
  const committer = threadCommitter(file, 0, 1_024);
  const groups = ["a", "b", "c"].map((key) => committer.commit(put(key)));
  for (const [at, group] of groups.entries()) {
    await group;
    const other = openRaw(file, 1_000);
    const keys = other.prepare("SELECT key FROM payloads ORDER BY seq").all([]).flat();
    other.close();
    expect(keys.slice(0, at + 1)).toEqual(["a", "b", "c"].slice(0, at + 1));
  }
  await committer.close();
});
