import { inProcessDispatch } from "@longhaul/adapters/in-process";
import { openSqlite } from "@longhaul/adapters/sqlite";
import { LonghaulError, type TicketOutlet } from "@longhaul/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type StartedScheduler, type StartOptions, settle, startScheduler, stepsOf } from "../testing/start-scheduler.ts";

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

test("no more tickets are out than the window holds; claims make room", async () => {
  const world = await begin({ dispatchWindow: 3 });
  await pass(10);
  const ids = [];
  for (let i = 0; i < 8; i++) ids.push(await world.accepted());
  await settle();
  expect(idsOf(world)).toEqual(ids.slice(0, 3));
  await world.claim(ids[0] ?? "");
  await settle();
  expect(idsOf(world)).toEqual(ids.slice(0, 4));
  // A stale claim gives its ticket's place free as well.
  await world.claim(ids[1] ?? "", 7);
  await settle();
  expect(idsOf(world)).toEqual(ids.slice(0, 5));
});

test("the backlog is taken by priority, then by age; a new submit does not overtake it", async () => {
  const world = await begin({ dispatchWindow: 1 });
  await pass(10);
  const first = await world.accepted();
  await pass(1);
  const low = await world.accepted({ priority: -5 });
  const early = await world.accepted();
  await pass(1);
  const late = await world.accepted();
  const high = await world.accepted({ priority: 9 });
  const order = [first];
  for (let i = 0; i < 4; i++) {
    await world.claim(order.at(-1) ?? "");
    if (i === 1) order.push(await world.accepted({ priority: 50 }));
    await settle();
    order.splice(0, order.length, ...idsOf(world));
  }
  await world.claim(order.at(-1) ?? "");
  await settle();
  expect(idsOf(world)).toEqual([first, high, early, order[3], late, low]);
  expect((await world.task(order[3] ?? "")).priority).toBe(50);
});

test("a submit to a scheduler that does not look after the partition rings the one that does", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const dispatch = inProcessDispatch({ window: 10 });
  const owner = await begin({ stores, dispatch, leases: stores.leases, name: "owner" });
  await pass(10);
  const other = await begin({ stores, dispatch, live: owner.live, leases: stores.leases, name: "other", taken: 0 });
  await pass(10);
  const id = await other.accepted();
  await settle();
  expect(await owner.task(id)).toMatchObject({ queueing: { kind: "ticketed" } });
  expect(idsOf(owner)).toEqual([id]);
});

test("the books are mended from what the broker says", async () => {
  const dispatch = inProcessDispatch({ window: 2 });
  const stores = openSqlite({ file: ":memory:" });
  const world = await begin({ dispatch, stores, dispatchWindow: 2, taken: 0 });
  await pass(10);
  const ids = [];
  for (let i = 0; i < 4; i++) ids.push(await world.accepted());
  await settle();
  // The tickets are taken, and nobody says so here: as when another scheduler answered the claims.
  const got: string[] = [];
  const flow = dispatch.inlet.consume(async (tickets) => {
    got.push(...tickets.map(({ taskId }) => taskId));
    return tickets.map(() => ({ kind: "done" as const }));
  });
  flow.grant(10);
  await settle();
  expect(got).toEqual(ids.slice(0, 2));
  await pass(2_100);
  expect(got).toEqual(ids);
});

test("a broker that is away costs time and no task", async () => {
  const dispatch = inProcessDispatch({ window: 10 });
  let isAway = true;
  const outlet: TicketOutlet = {
    ...dispatch.outlet,
    publish: async (partition, tickets) =>
      isAway ? Promise.reject(new LonghaulError("unavailable", "away")) : dispatch.outlet.publish(partition, tickets),
  };
  const world = await begin({ dispatch, outlet });
  await pass(10);
  const ids = [await world.accepted(), await world.accepted()];
  await settle();
  expect(world.tickets).toEqual([]);
  isAway = false;
  await pass(5_100);
  expect(idsOf(world).sort()).toEqual(ids);
});

test("tickets that the broker lost are published again at once", async () => {
  const dispatch = inProcessDispatch({ window: 10 });
  let lose = true;
  let onLoss = (): void => {};
  const outlet: TicketOutlet = {
    ...dispatch.outlet,
    publish: async (partition, tickets) =>
      lose ? tickets.map(() => "published" as const) : dispatch.outlet.publish(partition, tickets),
    onLoss(notify) {
      onLoss = notify;
      return () => {};
    },
  };
  const world = await begin({ dispatch, outlet });
  await pass(10);
  const id = await world.accepted();
  await settle();
  lose = false;
  onLoss();
  await settle();
  expect(idsOf(world)).toEqual([id]);
});
