import { LonghaulError } from "@longhaul/core";
import type { Document } from "mongodb";
import { expect, test } from "vitest";
import { compareAndSet, type FieldChange } from "./compare-and-set.ts";
import type { Commands } from "./connection.ts";

/** Answers commands from a script and keeps what was sent. */
function scripted(answers: readonly (Document | Error)[]) {
  const sent: Document[] = [];
  const mongo: Commands = {
    command: (command) => {
      const answer = answers[sent.length];
      sent.push(command);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? {});
    },
  };
  return { mongo, sent };
}

const change = (id: string, writeId = `w-${id}`): FieldChange => ({
  id,
  project: "acme",
  rev: 0,
  writeId,
  fields: { state: "running" },
});
const found = (...pairs: [string, string][]) => ({ cursor: { firstBatch: pairs.map(([_id, writeId]) => ({ _id, writeId })) } });
const down = new LonghaulError("unavailable", "away", { retryAfterMs: 1_000 });

test("when all were written nothing is read back", async () => {
  const { mongo, sent } = scripted([{ nModified: 2 }]);
  expect(await compareAndSet(mongo, "tasks", [change("a"), change("b")])).toEqual(["replaced", "replaced"]);
  expect(sent).toHaveLength(1);
});

test("nothing to write sends nothing", async () => {
  const { mongo, sent } = scripted([]);
  expect(await compareAndSet(mongo, "tasks", [])).toEqual([]);
  expect(sent).toHaveLength(0);
});

test("a large group goes as one command of several statements", async () => {
  const { mongo, sent } = scripted([{ nModified: 200 }]);
  await compareAndSet(
    mongo,
    "tasks",
    Array.from({ length: 200 }, (_, at) => change(`t${at}`)),
  );
  expect(sent).toHaveLength(1);
  expect(sent[0]?.["updates"].map((one: Document) => one["c"].ids.length)).toEqual([64, 64, 64, 8]);
});

test("when fewer were written only an equal writeId counts as replaced", async () => {
  const { mongo, sent } = scripted([{ nModified: 1 }, found(["a", "w-a"], ["b", "someone else's"])]);
  expect(await compareAndSet(mongo, "tasks", [change("a"), change("b"), change("gone")])).toEqual(["replaced", "stale", "stale"]);
  expect(sent[1]?.["readConcern"]).toEqual({ level: "majority" });
});

test("after a lost answer what is not found stays unknown", async () => {
  const { mongo } = scripted([down, found(["a", "w-a"], ["b", "before"])]);
  expect(await compareAndSet(mongo, "tasks", [change("a"), change("b")])).toEqual(["replaced", down]);
});

test("when the reading back fails too, everything stays unknown", async () => {
  const { mongo } = scripted([down, new LonghaulError("unavailable", "still away")]);
  expect(await compareAndSet(mongo, "tasks", [change("a"), change("b")])).toEqual([down, down]);
  const fewer = scripted([{ nModified: 1 }, down]);
  expect(await compareAndSet(fewer.mongo, "tasks", [change("a"), change("b")])).toEqual([down, down]);
});

test("a change that can't be written fails alone", async () => {
  const refused = { nModified: 1, writeErrors: [{ index: 0, code: 10_334, errmsg: "too large" }] };
  const answers = [{ nModified: 0 }, found(["a", "w-a"]), refused, found(["b", "before"])];
  const script = scripted([refused, ...answers]);
  const results = await compareAndSet(script.mongo, "tasks", [change("a"), change("b")]);
  expect(results[0]).toBe("replaced");
  expect(results[1]).toMatchObject({ code: "internal" });
  expect(script.sent).toHaveLength(5);
});

test("of two changes to one document the second goes in a later round", async () => {
  const { mongo, sent } = scripted([{ nModified: 2 }, { nModified: 0 }, found(["a", "first"])]);
  const results = await compareAndSet(mongo, "tasks", [change("a", "first"), change("b"), change("a", "second")]);
  expect(results).toEqual(["replaced", "replaced", "stale"]);
  expect(sent.map((one) => one["updates"]?.[0].c.ids)).toEqual([["a", "b"], ["a"], undefined]);
});
