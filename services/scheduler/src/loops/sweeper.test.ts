import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { openSqlite } from "@longhaul/adapters/sqlite";
import { LonghaulError } from "@longhaul/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
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
async function begin(options: StartOptions = {}): Promise<StartedScheduler> {
  const world = await startScheduler(options);
  worlds.push(world);
  return world;
}
const idsOf = (world: StartedScheduler): string[] => world.tickets.map(({ taskId }) => taskId);

test("every kind of thing that comes due is done in its time", async () => {
  const world = await begin({ sweepMs: 60_000, rules: { ticketMs: 5_000 } });
  await pass(10);
  const delayed = await world.accepted({ notBefore: timestampFromMs(Date.now() + 20_000) });
  const mortal = await world.accepted({ deadline: timestampFromMs(Date.now() + 4_000) });
  const unclaimed = await world.accepted();
  const lost = await world.accepted();
  await world.claim(lost);
  await settle();
  expect(idsOf(world)).toEqual([mortal, unclaimed, lost]);

  await pass(3_900);
  expect((await world.task(mortal)).state).toBe("queued");
  await pass(200);
  expect(await world.task(mortal)).toMatchObject({ state: "timed_out", error: { code: "deadline_exceeded" } });
  await pass(1_000);
  expect(idsOf(world).slice(3)).toEqual([unclaimed]);
  await world.claim(unclaimed);
  await world.report(unclaimed, { outcome: success(1) });

  await pass(9_950);
  // Its first loss: at once, and alone from now on.
  expect(world.tickets.at(-1)).toEqual({ project: "acme", taskId: lost, attempt: 1, alone: true });
  expect(await world.task(delayed)).toMatchObject({ queueing: { kind: "delayed" } });
  await pass(5_000);
  expect(idsOf(world)).toContain(delayed);
});

test("a task that is lost again and again ends after its bounded tries, and its holder is told", async () => {
  const world = await begin({ maxTries: 3 });
  await pass(10);
  const revoked: unknown[] = [];
  world.live.subscribe("executor.executor-1", (message) => revoked.push(message));
  const id = await world.accepted();
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(await world.claim(id, attempt)).toBe(true);
    await pass(20_000);
  }
  expect(await world.task(id)).toMatchObject({ state: "failed", error: { code: "tries_exhausted" }, attempt: 3, tries: 3 });
  expect(revoked).toEqual([1, 2, 3].map((attempt) => ({ taskId: id, attempt })));
});

test("a row that can't be handled is set aside, and the others go on", async () => {
  const stores = openSqlite({ file: ":memory:" });
  let poisoned = "";
  const world = await begin({
    stores,
    store: {
      ...stores.tasks,
      replace: async (changes) => {
        if (changes.some(({ next }) => next.id === poisoned)) throw new TypeError("torn row");
        return stores.tasks.replace(changes);
      },
    },
  });
  await pass(10);
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push(await world.accepted({ deadline: timestampFromMs(Date.now() + 3_000) }));
  poisoned = ids[1] ?? "";
  await pass(3_100);
  expect(await Promise.all(ids.map(async (id) => (await world.task(id)).state))).toEqual(["timed_out", "queued", "timed_out"]);
  const alarms = () => world.logged.filter(({ level }) => level === "error");
  expect(alarms()).toHaveLength(1);
  await pass(10_000);
  // With growing pauses: after 1 s, 2 s, 4 s.
  expect(alarms().map(({ fields }) => fields["pauseMs"])).toEqual([1_000, 2_000, 4_000, 8_000]);
  poisoned = "";
  await pass(8_000);
  expect((await world.task(ids[1] ?? "")).state).toBe("timed_out");
});

test("a database that is away does not end the sweep", async () => {
  const stores = openSqlite({ file: ":memory:" });
  let isAway = false;
  const away = async (): Promise<never> => Promise.reject(new LonghaulError("unavailable", "away"));
  const world = await begin({
    stores,
    store: {
      ...stores.tasks,
      listDue: (...args) => (isAway ? away() : stores.tasks.listDue(...args)),
      nextDue: (...args) => (isAway ? away() : stores.tasks.nextDue(...args)),
    },
  });
  await pass(10);
  const id = await world.accepted({ deadline: timestampFromMs(Date.now() + 3_000) });
  isAway = true;
  await pass(10_000);
  expect((await world.task(id)).state).toBe("queued");
  isAway = false;
  await pass(1_100);
  expect((await world.task(id)).state).toBe("timed_out");
});

test("what was running before a lonely process began anew is taken back at once", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const before = await begin({ stores });
  const [held, done] = [await before.accepted(), await before.accepted()];
  await before.claim(held);
  await before.claim(done);
  await before.report(done, { outcome: success(1) });
  await before.stop();
  worlds = [];
  const world = await begin({ stores, alone: true });
  await pass(10);
  expect(world.tickets).toEqual([{ project: "acme", taskId: held, attempt: 1, alone: true }]);
});
