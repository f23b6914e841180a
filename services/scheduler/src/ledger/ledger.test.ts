import { openSqlite } from "@longhaul/adapters/sqlite";
import { acceptTask, defaultRules, LonghaulError, type QueuedTask, type TaskEvent, type TaskStore } from "@longhaul/core";
import { expect, test } from "vitest";
import { freshId } from "../testing/start-scheduler.ts";
import { headerCache } from "./header-cache.ts";
import { type LedgerListener, ledger } from "./ledger.ts";

const now = 1_800_000_000_000;

function task(over: Partial<QueuedTask> = {}): QueuedTask {
  const submission = {
    id: freshId(),
    project: "acme",
    workflow: "echo",
    revision: 1,
    input: { kind: "inline" as const, json: "1" },
    text: "",
    labels: {},
    priority: 0,
    deadline: now + 86_400_000,
  };
  return { ...acceptTask(submission, now, true, defaultRules), ...over };
}
const keyOf = ({ project, id }: QueuedTask) => ({ project, id });
const claim = (executor: string, attempt = 0): TaskEvent => ({ kind: "claim", executor, attempt });

function newLedger(store: TaskStore, cached = 100) {
  const said: string[] = [];
  const listener: LedgerListener = {
    changed: (one, before) => said.push(`changed ${before?.state ?? "nothing"} to ${one.state}`),
    effects: (effects) => said.push(...effects.map(({ effect }) => effect.kind)),
    wakeAt: (partition, at) => said.push(`wake ${partition >= 0} ${at - now}`),
  };
  return { ...ledger({ store, cache: headerCache(cached, 1_000_000), rules: defaultRules, now: () => now }, listener), said };
}

async function world() {
  const { tasks: store } = openSqlite({ file: ":memory:" });
  const one = task();
  await store.insert([one]);
  return { store, one };
}

test("of many who race for a task one gets it, and the others are told on what is stored", async () => {
  const { store, one } = await world();
  const ledgers = Array.from({ length: 4 }, () => newLedger(store));
  for (const each of ledgers) each.inserted([one]);
  const outcomes = await Promise.all(
    ledgers.flatMap((each, i) => [0, 1].map((n) => each.apply([{ key: keyOf(one), event: claim(`executor-${i}-${n}`) }]))),
  );
  const kinds = outcomes.flat().map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === "changed")).toHaveLength(1);
  expect(kinds.filter((kind) => kind === "refused")).toHaveLength(7);
  const [stored] = await store.get([keyOf(one)]);
  expect(stored).toMatchObject({ rev: 1, task: { state: "running", attempt: 1 } });
});

test("a refusal is never said on what the cache remembers", async () => {
  const { store, one } = await world();
  const [here, there] = [newLedger(store), newLedger(store)];
  await here.apply([{ key: keyOf(one), event: claim("executor-1") }]);
  await there.apply([{ key: keyOf(one), event: { kind: "release", executor: "executor-1", attempt: 1 } }]);
  // Here the task is remembered as running, which would refuse the claim.
  const [outcome] = await here.apply([{ key: keyOf(one), event: claim("executor-2", 1) }]);
  expect(outcome).toMatchObject({ kind: "changed", task: { attempt: 2 } });
});

test("what the cache remembers wrongly is found out by compare-and-set", async () => {
  const { store, one } = await world();
  const [here, there] = [newLedger(store), newLedger(store)];
  here.inserted([one]);
  await there.apply([{ key: keyOf(one), event: { kind: "cancel", reason: "" } }]);
  const [outcome] = await here.apply([{ key: keyOf(one), event: claim("executor-1") }]);
  expect(outcome).toMatchObject({ kind: "refused", task: { state: "cancelled" } });
});

test("nothing is let out before the commit, and nothing at all when it fails", async () => {
  const { store, one } = await world();
  let isAway = true;
  let said: string[] = [];
  const watched: TaskStore = {
    ...store,
    async replace(changes) {
      if (isAway) throw new LonghaulError("unavailable", "away");
      const results = await store.replace(changes);
      expect(said.filter((line) => !line.startsWith("wake"))).toEqual([]);
      return results;
    },
  };
  const each = newLedger(watched);
  said = each.said;
  await expect(each.apply([{ key: keyOf(one), event: { kind: "cancel", reason: "" } }])).rejects.toMatchObject({
    code: "unavailable",
  });
  expect(each.said).toEqual([]);
  isAway = false;
  await each.apply([{ key: keyOf(one), event: claim("executor-1") }]);
  expect(each.said.splice(0)).toEqual(["wake true 30000", "changed queued to running"]);
  await each.apply([{ key: keyOf(one), event: { kind: "release", executor: "executor-1", attempt: 1 } }]);
  expect(each.said).toEqual([`wake true 86400000`, "changed running to queued", "refill"]);
});

test("outcomes come in the order of the entries; one that is missing or refused hinders nobody", async () => {
  const { store, one } = await world();
  const two = task();
  await store.insert([two]);
  const each = newLedger(store);
  const outcomes = await each.apply([
    { key: { project: "acme", id: freshId() }, event: claim("e") },
    { key: keyOf(two), event: { kind: "heartbeat", executor: "e", attempt: 1 } },
    { key: { ...keyOf(one), project: "other" }, event: claim("e") },
    { key: keyOf(one), event: claim("e") },
  ]);
  expect(outcomes.map(({ kind }) => kind)).toEqual(["missing", "refused", "missing", "changed"]);
});

test("a foreign project does not find what the cache holds", async () => {
  const { store, one } = await world();
  const each = newLedger(store);
  each.inserted([one]);
  expect(await each.apply([{ key: { ...keyOf(one), project: "other" }, event: { kind: "cancel", reason: "" } }])).toEqual([
    { kind: "missing" },
  ]);
});

test("two entries for one task in one call are applied one after the other", async () => {
  const { store, one } = await world();
  const each = newLedger(store);
  const outcomes = await each.apply([
    { key: keyOf(one), event: claim("executor-1") },
    { key: keyOf(one), event: { kind: "cancel", reason: "" } },
  ]);
  expect(outcomes.map(({ kind }) => kind)).toEqual(["changed", "changed"]);
  expect((await store.get([keyOf(one)]))[0]).toMatchObject({ rev: 2, task: { state: "cancelled" } });
});

test("a task that keeps changing ends in a conflict, not in a loop", async () => {
  const { store, one } = await world();
  const each = newLedger({ ...store, replace: async (changes) => changes.map(() => "stale") });
  await expect(each.apply([{ key: keyOf(one), event: claim("e") }])).rejects.toMatchObject({ code: "conflict" });
});

test("the cache is bounded by count and by bytes, and the least recently used go first", () => {
  const cache = headerCache(3, 1_000_000);
  const all = Array.from({ length: 4 }, () => task());
  const [a, b, c, d] = all.map((one) => ({ task: one, rev: 0 }));
  if (!a || !b || !c || !d) throw new Error("no tasks");
  for (const one of [a, b, c]) cache.put(one);
  cache.get(a.task.id);
  cache.put(d);
  expect([a, b, c, d].map((one) => cache.get(one.task.id) !== undefined)).toEqual([true, false, true, true]);

  const small = headerCache(1_000, 30_000);
  const large = Array.from({ length: 20 }, () => ({
    task: task({ input: { kind: "inline", json: "x".repeat(4_000) } }),
    rev: 0,
  }));
  for (const one of large) small.put(one);
  expect(large.filter((one) => small.get(one.task.id) !== undefined)).toHaveLength(5);
  for (const one of large) small.put(one);
  expect(large.filter((one) => small.get(one.task.id) !== undefined)).toHaveLength(5);
  const last = large.at(-1);
  small.drop(last?.task.id ?? "");
  small.drop("nothing");
  expect(small.get(last?.task.id ?? "")).toBeUndefined();
});

test("a header that grows too old is forgotten, for another task may have its id by then", () => {
  let time = 0;
  const cache = headerCache(10, 1_000_000, 500, () => time);
  const stored = { task: task(), rev: 0 };
  cache.put(stored);
  time = 500;
  expect(cache.get(stored.task.id)).toBe(stored);
  time = 501;
  expect(cache.get(stored.task.id)).toBeUndefined();
  cache.put(stored);
  expect(cache.get(stored.task.id)).toBe(stored);
});

test("what has ended and owes nothing is not remembered", async () => {
  const { store, one } = await world();
  const cache = headerCache(10, 1_000_000);
  const each = ledger(
    { store, cache, rules: defaultRules, now: () => now },
    { changed: () => {}, effects: () => {}, wakeAt: () => {} },
  );
  await each.apply([{ key: keyOf(one), event: claim("e") }]);
  expect(cache.get(one.id)).toBeDefined();
  await each.apply([{ key: keyOf(one), event: { kind: "cancel", reason: "" } }]);
  expect(cache.get(one.id)).toBeUndefined();
});
