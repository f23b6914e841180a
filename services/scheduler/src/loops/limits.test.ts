import { openSqlite, type SqliteStores } from "@longhaul/adapters/sqlite";
import { holdsSlots, isEnded, LonghaulError, type Task } from "@longhaul/core";
import { LimitService } from "@longhaul/proto/limit_service";
import { directClient, silentLogger } from "@longhaul/shared";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { slotBook } from "../limits/slot-book.ts";
import {
  acme,
  type StartedScheduler,
  type StartOptions,
  settle,
  startScheduler,
  stepsOf,
  success,
} from "../testing/start-scheduler.ts";

let worlds: StartedScheduler[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
});
afterEach(async () => {
  for (const world of worlds) await world.stop();
  worlds = [];
  vi.useRealTimers();
});

const pass = stepsOf((ms) => vi.advanceTimersByTimeAsync(ms));

async function begin(options: StartOptions = {}) {
  const world = await startScheduler(options);
  worlds.push(world);
  const define = (name: string, limits: { concurrency?: number; keys?: string[] }) =>
    world.workflows.put({ name, definition: { name, limits, nodes: [{ id: "a", kind: "transform", with: { v: 1 } }] } }, acme);
  await define("narrow", { concurrency: 3 });
  const limits = directClient(LimitService, world.scheduler.services.limit, { log: silentLogger });
  const limitOf = async (key: string) => (await limits.get({ key }, acme)).limit;
  const submitMany = async (count: number, workflow = "narrow") => {
    const results = await world.submit(...Array.from({ length: count }, () => ({ workflow })));
    return results.map(({ result }) => (result.case === "accepted" ? result.value.id : ""));
  };
  return { ...world, define, limits, limitOf, submitMany };
}
type Begun = Awaited<ReturnType<typeof begin>>;

/** A few turns more than one step: a slot that is freed goes through several writes until it is a ticket. */
async function calm(): Promise<void> {
  await pass(250);
  for (let turn = 0; turn < 10; turn++) await settle();
}

const tasksOf = (world: Begun, ids: readonly string[]): Promise<Task[]> => Promise.all(ids.map((id) => world.task(id)));
const holding = async (world: Begun, ids: readonly string[]): Promise<string[]> =>
  (await tasksOf(world, ids)).filter(holdsSlots).map(({ id }) => id);

/** Runs everything that has a ticket until all have ended; answers the most that held a slot at a time. */
async function workOff(world: Begun, ids: readonly string[], also: () => Promise<void> = async () => {}): Promise<number> {
  let most = 0;
  for (let round = 0; round < 200; round++) {
    await calm();
    const tasks = await tasksOf(world, ids);
    most = Math.max(most, tasks.filter(holdsSlots).length);
    if (tasks.every(isEnded)) return most;
    for (const task of tasks.filter(holdsSlots)) {
      if (task.state === "queued") await world.claim(task.id, task.attempt);
      else await world.report(task.id, { attempt: task.attempt, number: task.report + 1, outcome: success(1) });
    }
    await also();
  }
  throw new Error("not all of them ended");
}

test("no more tasks than the limit have tickets, and each that ends lets the next one in", async () => {
  const world = await begin();
  const ids = await world.submitMany(20);
  await calm();
  expect(world.tickets.map(({ taskId }) => taskId)).toEqual(ids.slice(0, 3));
  expect(await world.limitOf("workflow:narrow")).toMatchObject({ concurrency: 3, used: 3, waiting: 17, source: "definition" });
  const [first = ""] = ids;
  await world.claim(first);
  await world.report(first, { outcome: success(1) });
  await calm();
  expect(world.tickets.map(({ taskId }) => taskId)).toEqual(ids.slice(0, 4));
  expect(await workOff(world, ids)).toBeLessThanOrEqual(3);
  expect(await world.limitOf("workflow:narrow")).toMatchObject({ used: 0, waiting: 0, holders: [] });
  expect((await tasksOf(world, ids)).flatMap(({ owes }) => owes)).toEqual([]);
});

test("a waiting task says which limit it waits for, and who holds slots is shown", async () => {
  const world = await begin();
  const ids = await world.submitMany(4);
  await calm();
  const { task } = await world.tasks.get({ id: ids[3] ?? "" }, acme);
  expect(task?.waitingFor).toMatchObject({ kind: "limit", name: "workflow:narrow" });
  expect(task?.waitingFor?.reason).toContain('"workflow:narrow"');
  expect((await world.limitOf("workflow:narrow"))?.holders.map(({ taskId }) => taskId).sort()).toEqual(ids.slice(0, 3).sort());
});

test("cancel, a wait and a pause give the slot to the next; a lost lease does not", async () => {
  const world = await begin();
  const ids = await world.submitMany(8);
  const [cancelled = "", waiting = "", lost = ""] = ids;
  await calm();
  for (const id of [cancelled, waiting, lost]) await world.claim(id);
  await world.tasks.cancel({ id: cancelled }, acme);
  await calm();
  expect(await holding(world, ids)).toEqual([waiting, lost, ids[3]]);
  const wait = { kind: "signal", node: "a", reason: "It waits." };
  await world.report(waiting, { outcome: { case: "wait", value: { waits: [wait], waitCount: 1, seen: 0n } } as never });
  await calm();
  expect((await world.task(waiting)).state).toBe("waiting");
  expect(await holding(world, ids)).toEqual([lost, ids[3], ids[4]]);
  await pass(16_000);
  expect(await world.task(lost)).toMatchObject({ state: "queued", queueing: { kind: "ticketed" }, hold: 1 });
  expect(await holding(world, ids)).toEqual([lost, ids[3], ids[4]]);
});

test("two schedulers that race for the same tasks never exceed the limit, and all tasks end", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const one = await begin({ stores });
  const two = await begin({ stores, name: "scheduler-2", live: one.live, dispatch: one.dispatch });
  const ids = [...(await one.submitMany(15)), ...(await two.submitMany(15))];
  let turn = 0;
  const most = await workOff(one, ids, async () => {
    // Both look at once, again and again.
    turn++;
    if (turn % 2 === 0)
      await Promise.all([one, two].map(({ limits }) => limits.put({ key: "workflow:narrow", concurrency: 3 }, acme)));
  });
  expect(most).toBeLessThanOrEqual(3);
  expect(await two.limitOf("workflow:narrow")).toMatchObject({ used: 0, waiting: 0 });
});

test("a limit that is lowered takes no slot away and gives none before there is room; raised it gives them at once", async () => {
  const world = await begin();
  const ids = await world.submitMany(12);
  await calm();
  expect(await world.limits.put({ key: "workflow:narrow", concurrency: 1 }, acme)).toMatchObject({
    limit: { concurrency: 1, used: 3, source: "managed" },
  });
  await calm();
  expect(await holding(world, ids)).toHaveLength(3);
  for (const id of ids.slice(0, 2)) {
    await world.claim(id);
    await world.report(id, { outcome: success(1) });
  }
  await calm();
  expect(await holding(world, ids)).toEqual([ids[2]]);
  await world.limits.put({ key: "workflow:narrow", concurrency: 5 }, acme);
  await calm();
  expect(await holding(world, ids)).toHaveLength(5);
  await world.limits.delete({ key: "workflow:narrow" }, acme);
  expect(await world.limitOf("workflow:narrow")).toMatchObject({ concurrency: 3, source: "definition" });
  expect(await workOff(world, ids)).toBe(5);
});

test("the latest revision of a workflow decides for its waiting tasks too, at once", async () => {
  const world = await begin();
  const ids = await world.submitMany(12);
  await calm();
  expect(await holding(world, ids)).toHaveLength(3);
  await world.define("narrow", { concurrency: 7 });
  await calm();
  expect(await holding(world, ids)).toHaveLength(7);
  await world.define("narrow", {});
  await calm();
  expect(await holding(world, ids)).toHaveLength(12);
  await workOff(world, ids);
});

test("a task needs a slot of each of its limits, and holds none of one while it waits for another", async () => {
  const world = await begin();
  await world.limits.put({ key: "gpu", concurrency: 1 }, acme);
  await world.define("draw", { concurrency: 5, keys: ["gpu"] });
  await world.define("film", { keys: ["gpu"] });
  await world.define("note", { concurrency: 5 });
  const films = await world.submitMany(2, "film");
  await calm();
  const drawn = await world.submitMany(4, "draw");
  await calm();
  expect(await holding(world, [...films, ...drawn])).toEqual([films[0]]);
  expect(await world.limitOf("workflow:draw")).toMatchObject({ used: 0 });
  expect(await world.limitOf("gpu")).toMatchObject({ used: 1, waiting: 5 });
  expect(await workOff(world, [...films, ...drawn])).toBe(1);
  expect(await world.limitOf("gpu")).toMatchObject({ used: 0, waiting: 0 });
});

test("who has the first of two slots and not the second passes on, and frees the first", async () => {
  const world = await begin();
  await world.limits.put({ key: "a-first", concurrency: 2 }, acme);
  await world.limits.put({ key: "z-last", concurrency: 1 }, acme);
  await world.define("both", { keys: ["z-last", "a-first"] });
  const ids = await world.submitMany(6, "both");
  await calm();
  expect(await holding(world, ids)).toEqual([ids[0]]);
  // The others wait for the one that is short, and leave room in the other.
  expect(await world.limitOf("a-first")).toMatchObject({ used: 1, waiting: 0 });
  expect(await world.limitOf("z-last")).toMatchObject({ used: 1, waiting: 5 });
  const { task } = await world.tasks.get({ id: ids[5] ?? "" }, acme);
  expect(task?.waitingFor).toMatchObject({ kind: "limit", name: "z-last" });
  expect(await workOff(world, ids)).toBe(1);
});

test("the limit of a project counts the tasks of all its workflows that come after it, and those of no other", async () => {
  const world = await begin();
  const [before = ""] = await world.submitMany(1, "echo");
  await world.limits.put({ key: "project", concurrency: 2 }, acme);
  const ids = [...(await world.submitMany(3, "echo")), ...(await world.submitMany(3))];
  await calm();
  expect(await holding(world, ids)).toHaveLength(2);
  expect((await world.task(before)).limitKeys).toBeUndefined();
  expect((await world.task(ids[5] ?? "")).limitKeys).toEqual(["project", "workflow:narrow"]);
  await world.limits.delete({ key: "project" }, acme);
  await calm();
  expect(await holding(world, ids)).toHaveLength(6);
});

test("slots whose tasks are gone or have left are freed by the look at the holders, others never", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const world = await begin({ stores });
  const ids = await world.submitMany(5);
  await calm();
  const book = bookOf(stores);
  const most = async () => 3;
  // As two schedulers leave them that die between two writes: for a task that is not there, and for an earlier hold.
  for (const id of ids.slice(0, 2)) {
    await world.claim(id);
    await world.report(id, { outcome: success(1) });
  }
  await calm();
  await book.free("acme", "workflow:narrow", [{ taskId: ids[2] ?? "", hold: 0 }]);
  await book.take("acme", "workflow:narrow", [{ taskId: "gone", hold: 7 }], async () => 100);
  await book.take("acme", "workflow:narrow", [{ taskId: ids[0] ?? "", hold: 1 }], async () => 100);
  expect(await book.take("acme", "workflow:narrow", [{ taskId: "late", hold: 1 }], most)).toEqual(new Set());
  await pass(21_000);
  const slots = await book.read("acme", "workflow:narrow");
  expect(slots.map(({ taskId }) => taskId).sort()).toEqual(ids.slice(2).sort());
  expect(world.logged.some(({ message }) => message.includes("slots freed"))).toBe(true);
});

test("a scheduler that died right after a submit leaves nothing behind that nobody looks at", async () => {
  const stores = openSqlite({ file: ":memory:" });
  // It can't write slots any more, as if it were gone.
  const insert = () => Promise.reject(new LonghaulError("unavailable", "the database is away"));
  const dead = await begin({ stores, resources: { ...stores.resources, insert } });
  const ids = await dead.submitMany(3);
  await calm();
  expect(await holding(dead, ids)).toEqual([]);
  await worlds.pop()?.stop();
  const next = await begin({ stores, name: "scheduler-2" });
  await pass(6_000);
  expect(await holding(next, ids)).toEqual(ids);
});

test("a scheduler that died between the slots and the tickets is taken over from where it was, at once", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const replace = () => Promise.reject(new LonghaulError("unavailable", "the database is away"));
  const dead = await begin({ stores, store: { ...stores.tasks, replace } });
  const ids = await dead.submitMany(5);
  await calm();
  expect(await holding(dead, ids)).toEqual([]);
  expect(await dead.limitOf("workflow:narrow")).toMatchObject({ used: 3, waiting: 5 });
  await worlds.pop()?.stop();
  const next = await begin({ stores, name: "scheduler-2" });
  await calm();
  expect(await holding(next, ids)).toEqual(ids.slice(0, 3));
  expect(await next.limitOf("workflow:narrow")).toMatchObject({ used: 3, waiting: 2 });
});

test("what is no limit is refused and changes nothing", async () => {
  const world = await begin();
  for (const key of ["", "a b", "workflow:", "x:y", `a${"b".repeat(128)}`])
    await expect(world.limits.put({ key, concurrency: 1 }, acme)).rejects.toMatchObject({ code: "invalid_argument" });
  for (const concurrency of [0, -1, 100_001])
    await expect(world.limits.put({ key: "gpu", concurrency }, acme)).rejects.toMatchObject({
      faults: [{ pointer: "/concurrency" }],
    });
  await expect(world.limits.get({ key: "gpu" }, acme)).rejects.toMatchObject({ code: "not_found" });
  await expect(world.limits.delete({ key: "gpu" }, acme)).rejects.toMatchObject({ code: "not_found" });
  await expect(world.limits.delete({ key: "workflow:narrow" }, acme)).rejects.toThrow(/definition/);
});

test("limits are listed by key in pages, those of definitions among them", async () => {
  const world = await begin();
  for (const key of ["a", "project", "workflow:narrow", "workflow:zzz", "zebra"])
    await world.limits.put({ key, concurrency: 2 }, acme);
  await world.define("wide", { concurrency: 9 });
  const seen: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await world.limits.list({ pageSize: 2, pageToken }, acme);
    seen.push(...page.limits.map(({ key, source }) => `${key} ${source}`));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  expect(seen).toEqual([
    "a managed",
    "project managed",
    "workflow:narrow managed",
    "workflow:wide definition",
    "workflow:zzz managed",
    "zebra managed",
  ]);
});

test("a limit of more slots than one document holds is neither exceeded nor left unused", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const book = bookOf(stores);
  const holds = Array.from({ length: 2_600 }, (_, at) => ({ taskId: `t${at}`, hold: 1 }));
  const groups = Array.from({ length: 26 }, (_, at) => holds.slice(at * 100, at * 100 + 100));
  const most = async () => 2_300;
  const taken = await Promise.all(groups.map((group) => book.take("acme", "big", group, most)));
  expect(taken.reduce((sum, ids) => sum + ids.size, 0)).toBe(2_300);
  expect(await book.read("acme", "big")).toHaveLength(2_300);
  expect(await book.take("acme", "big", holds.slice(0, 1), most)).toEqual(new Set(["t0"]));
  expect(await book.free("acme", "big", holds)).toBe(2_300);
  expect(await book.read("acme", "big")).toEqual([]);
  await stores.close();
});

function bookOf(stores: SqliteStores) {
  return slotBook(stores.resources, () => Date.now());
}
