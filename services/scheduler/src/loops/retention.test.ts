import { create } from "@bufbuild/protobuf";
import { openSqlite } from "@longhaul/adapters/sqlite";
import type { Task, TaskStore } from "@longhaul/core";
import { NodeReportSchema } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { silentLogger } from "@longhaul/shared";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  acme,
  freshId,
  jsonOf,
  type StartedScheduler,
  type StartOptions,
  startScheduler,
  success,
} from "../testing/start-scheduler.ts";
import { retention } from "./retention.ts";

const retentionMs = 600_000;
const large = "x".repeat(10_000);
let worlds: StartedScheduler[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
});
afterEach(async () => {
  for (const world of worlds) await world.stop();
  worlds = [];
  vi.useRealTimers();
});

async function begin(options: StartOptions = {}): Promise<StartedScheduler> {
  const world = await startScheduler({ retentionMs, sweepMs: 60_000, ...options });
  worlds.push(world);
  return world;
}
async function settle(): Promise<void> {
  for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
}
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 30_000) {
    await vi.advanceTimersByTimeAsync(Math.min(left, 30_000));
    await settle();
  }
}
const isGone = async (world: StartedScheduler, id: string): Promise<boolean> =>
  (await world.stores.tasks.get([{ project: "acme", id }]))[0] === undefined;

/** A task with large values everywhere, ended. */
async function ended(world: StartedScheduler, item: Parameters<StartedScheduler["accepted"]>[0] = {}): Promise<string> {
  const id = await world.accepted({ inputJson: jsonOf(large), ...item });
  await world.claim(id);
  await world.report(id, { outcome: success(large) });
  return id;
}

test("an ended task goes when it was kept long enough, with its values, and not before; a live one never does", async () => {
  const world = await begin();
  const live = await world.accepted({ inputJson: jsonOf(large) });
  const id = await ended(world);
  await pass(retentionMs - 1_000);
  expect(await world.task(id)).toMatchObject({ state: "succeeded" });
  await pass(121_000);
  expect(await isGone(world, id)).toBe(true);
  expect(await world.stores.payloads.get([`${id}/input`, `${id}//1/1/output`])).toEqual([undefined, undefined]);
  await expect(world.tasks.get({ id }, acme)).rejects.toMatchObject({ code: "task_not_found" });
  await pass(retentionMs);
  expect((await world.tasks.get({ id: live }, acme)).task?.id).toBe(live);
});

test("a task that still owes a webhook is kept until that is handed over", async () => {
  const world = await begin();
  world.notifier.accept = async () => [];
  const id = await ended(world, { webhook: { url: "https://receiver.example/", events: ["task.succeeded"] } });
  await pass(3 * retentionMs);
  expect(await world.task(id)).toMatchObject({ state: "succeeded", owes: [{ event: "task.succeeded" }] });
  world.notifier.accept = async (orders) => orders.map((order) => order.id);
  await pass(60_000);
  expect(await world.task(id)).toMatchObject({ owes: [] });
  await pass(retentionMs);
  expect(await isGone(world, id)).toBe(true);
});

test("a task made by a retry has all its values when the one that it retries is gone", async () => {
  const world = await begin();
  const id = await world.accepted({ inputJson: jsonOf(large) });
  await world.claim(id);
  const values = { inputJson: jsonOf(large), outputJson: jsonOf(large) };
  await world.report(id, {
    nodes: [create(NodeReportSchema, { path: "a", kind: "transform", state: NodeState.SUCCEEDED, tries: 1, ...values })],
    outcome: { case: "failure", value: { error: { code: "node_failed", message: "no" } } },
  });
  await pass(retentionMs - 60_000);
  const { task } = await world.tasks.retry({ id }, acme);
  await pass(180_000);
  expect(await isGone(world, id)).toBe(true);
  const shown = await world.tasks.get({ id: task?.id ?? "" }, acme);
  expect(shown.task?.input?.kind).toEqual({ case: "stringValue", value: large });
  const { nodes } = await world.tasks.listNodeRuns({ taskId: task?.id ?? "" }, acme);
  expect(nodes[0]?.output?.kind).toEqual({ case: "stringValue", value: large });
  await expect(world.tasks.retry({ id }, acme)).rejects.toMatchObject({ code: "task_not_found" });
});

test("a task that expires while it is retried makes no half task", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const remove = async (): Promise<void> =>
    void (await stores.tasks.remove(await stores.tasks.listExpired(Number.MAX_SAFE_INTEGER, 9)));
  const tasks: TaskStore = {
    ...stores.tasks,
    listNodeRuns: async (...args) => {
      const found = await stores.tasks.listNodeRuns(...args);
      await remove();
      return found;
    },
  };
  const world = await begin({ stores: { ...stores, tasks } });
  const id = await world.accepted();
  await world.tasks.cancel({ id }, acme);
  await expect(world.tasks.retry({ id }, acme)).rejects.toMatchObject({ code: "expired" });
  expect(await stores.tasks.list({ project: "acme", limit: 9 })).toEqual([]);
});

test("an idempotency key lives as long as its task; afterwards it makes a new one of the same id", async () => {
  const world = await begin();
  const item = { idempotencyKey: "k", bodyHash: Buffer.from("h"), inputJson: jsonOf(large) };
  const id = await ended(world, item);
  await pass(retentionMs - 1_000);
  expect((await world.submit({ id: freshId(), ...item }))[0]?.result.case).toBe("replayed");
  await pass(180_000);
  expect(await isGone(world, id)).toBe(true);
  const [again] = await world.submit({ id: freshId(), ...item });
  expect(again?.result).toMatchObject({ case: "accepted", value: { id } });
  expect(await world.task(id)).toMatchObject({ state: "queued", version: 1, attempt: 0 });
  expect((await world.tasks.get({ id }, acme)).task?.input?.kind).toEqual({ case: "stringValue", value: large });
});

test("a key that is used again right while its former task is removed has its input afterwards", async () => {
  const stores = openSqlite({ file: ":memory:" });
  let isBeingRemoved = false;
  const tasks: TaskStore = {
    ...stores.tasks,
    // As another process's removal looks from here: the task can't be seen any more, and the last of it goes before the insert.
    get: async (keys) => (isBeingRemoved ? keys.map(() => undefined) : await stores.tasks.get(keys)),
    insert: async (given) => {
      if (isBeingRemoved) await stores.tasks.remove(await stores.tasks.listExpired(Number.MAX_SAFE_INTEGER, 9));
      isBeingRemoved = false;
      return await stores.tasks.insert(given);
    },
  };
  const world = await begin({ stores: { ...stores, tasks } });
  const item = { idempotencyKey: "k", bodyHash: Buffer.from("h"), inputJson: jsonOf(large) };
  const id = await ended(world, item);
  isBeingRemoved = true;
  const [again] = await world.submit({ id: freshId(), ...item });
  expect(again?.result).toMatchObject({ case: "accepted", value: { id } });
  expect((await world.tasks.get({ id }, acme)).task?.input?.kind).toEqual({ case: "stringValue", value: large });
});

test("a key whose former task is half removed is refused for a moment, and nothing is stored", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const tasks: TaskStore = {
    ...stores.tasks,
    get: async (keys) => keys.map(() => undefined),
    insert: async (given) => given.map(() => "exists"),
  };
  const world = await begin({ stores: { ...stores, tasks } });
  const item = { idempotencyKey: "k", bodyHash: Buffer.from("h") };
  const [refused, other] = await world.submit({ id: freshId(), ...item }, { id: freshId(), workflow: "nowhere" });
  expect(refused?.result).toMatchObject({ case: "refused", value: { code: "unavailable" } });
  expect(other?.result).toMatchObject({ case: "refused", value: { code: "workflow_not_found" } });
});

test("a list with a task that expires under its hands leaves out the value and shows the rest", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const world = await begin({ stores });
  const [first, second] = [await ended(world), await ended(world)];
  const list = stores.tasks.list;
  const removing: Partial<TaskStore> = {
    list: async (query) => {
      const found = await list(query);
      const expired = await stores.tasks.listExpired(Number.MAX_SAFE_INTEGER, 9);
      await stores.tasks.remove(expired.filter((one) => one.id === first));
      return found;
    },
  };
  const late = await begin({ stores: { ...stores, tasks: { ...stores.tasks, ...removing } } });
  const { tasks } = await late.tasks.list({}, acme);
  expect(tasks.map((task) => [task.id, task.output?.kind.case])).toEqual(
    expect.arrayContaining([
      [first, undefined],
      [second, "stringValue"],
    ]),
  );
});

test("a header that another scheduler remembers is not taken for that of a new task of the same id", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const [a, b] = [await begin({ stores }), await begin({ stores })];
  const item = { idempotencyKey: "k", bodyHash: Buffer.from("h") };
  const id = await a.accepted({ ...item, inputJson: jsonOf("old") });
  // `b` knows the task as claimed, at revision 2; it ends at `a`.
  expect(await b.claim(id)).toBe(true);
  const { task } = await a.tasks.cancel({ id }, acme);
  expect(task?.id).toBe(id);
  await pass(retentionMs + 120_000);
  expect(await isGone(a, id)).toBe(true);
  await a.accepted({ ...item, inputJson: jsonOf("new") });
  const before: Task = await a.task(id);
  expect(before).toMatchObject({ state: "queued", attempt: 0 });
  await b.tasks.cancel({ id }, acme);
  expect(await a.task(id)).toMatchObject({ state: "cancelled", attempt: 0, version: before.version + 1 });
});

test("of several schedulers the one that looks after partition 0 removes, from when it does until it does not", async () => {
  const { tasks: store } = openSqlite({ file: ":memory:" });
  const world = await begin();
  const id = await ended(world);
  await store.insert([await world.task(id)]);
  const timers: (() => void)[] = [];
  const looked: number[] = [];
  const loop = retention({
    store: {
      ...store,
      listExpired: (settledBy, limit) => {
        looked.push(settledBy);
        return store.listExpired(settledBy, limit);
      },
    },
    retentionMs,
    now: () => Date.now() + 2 * retentionMs,
    log: silentLogger,
    later: (_, run) => {
      timers.push(run);
      return () => void timers.splice(timers.indexOf(run), 1);
    },
  });
  loop.own(new Set([1, 2, 63]));
  expect(timers).toHaveLength(0);
  loop.own(new Set([0, 1]));
  timers.shift()?.();
  await settle();
  expect(await store.get([{ project: "acme", id }])).toEqual([undefined]);
  expect(looked[0]).toBe(Date.now() + retentionMs);
  expect(timers).toHaveLength(1);
  loop.own(new Set([1]));
  expect(timers).toHaveLength(0);
  await loop.stop();
});
