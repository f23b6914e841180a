import { inProcessDispatch } from "@longhaul/adapters/in-process";
import { openSqlite } from "@longhaul/adapters/sqlite";
import { partitionCount, partitionOf } from "@longhaul/core";
import { silentLogger } from "@longhaul/shared";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type StartedScheduler, type StartOptions, startScheduler, stepsOf } from "../testing/start-scheduler.ts";
import { leasedPartitions } from "./partitions.ts";

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

test("two schedulers share the partitions; one that stops gives its own back, one that dies loses them", async () => {
  const { leases } = openSqlite({ file: ":memory:" });
  const names = ["a", "b", "c"];
  const owned = new Map<string, ReadonlySet<number>>();
  let isDead = false;
  const make = (owner: string) =>
    leasedPartitions({
      leases:
        owner === "c"
          ? { ...leases, renew: (...args) => (isDead ? Promise.reject(new Error("dead")) : leases.renew(...args)) }
          : leases,
      owner,
      now: () => Date.now(),
      log: silentLogger,
      own: (partitions) => void owned.set(owner, partitions),
    });
  const all = () => names.flatMap((name) => [...(owned.get(name) ?? [])]).sort((x, y) => x - y);
  const everyOne = Array.from({ length: partitionCount }, (_, i) => i);
  const [a, b, c] = names.map(make);
  if (!a || !b || !c) throw new Error("no schedulers");

  await a.start();
  expect(a.held()).toBe(partitionCount);
  await b.start();
  await pass(8_000);
  expect([a.held(), b.held()]).toEqual([32, 32]);
  expect(all()).toEqual(everyOne);
  await c.start();
  await pass(8_000);
  expect(a.held() + b.held() + c.held()).toBe(partitionCount);
  expect(c.held()).toBeGreaterThanOrEqual(20);
  expect(all()).toEqual(everyOne);

  await b.stop();
  await pass(3_100);
  expect([a.held(), c.held()]).toEqual([32, 32]);
  isDead = true;
  await pass(12_000);
  expect([a.held(), c.held()]).toEqual([partitionCount, 0]);
  await a.stop();
  isDead = false;
  await c.stop();
  expect(all()).toEqual([]);
});

test("the tasks of a scheduler that died are looked after by the other", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const dispatch = inProcessDispatch({ window: 1 });
  const one = await begin({ stores, dispatch, leases: stores.leases, name: "one", dispatchWindow: 1 });
  await pass(10);
  const two = await begin({ stores, dispatch, live: one.live, leases: stores.leases, name: "two", dispatchWindow: 1, taken: 0 });
  await pass(5_000);
  // A project of each, so that one of them is surely orphaned.
  const projects = ["red", "green", "blue", "white"].filter(
    (name, i, all) => all.findIndex((other) => partitionOf(other) === partitionOf(name)) === i,
  );
  for (const project of projects)
    await two.workflows.put(
      { name: "echo", definition: { name: "echo", nodes: [{ id: "a", kind: "transform", with: 1 }] } },
      { headers: { "longhaul-project": project } },
    );
  await one.stop();
  worlds = worlds.filter((world) => world !== one);
  const results = await two.submit(...projects.flatMap((project) => [{ project }, { project }]));
  const ids = results.flatMap(({ result }) => (result.case === "accepted" ? [result.value.id] : []));
  await pass(8_000);
  const got: string[] = [];
  const flow = dispatch.inlet.consume(async (tickets) => {
    got.push(...tickets.map(({ taskId }) => taskId));
    return tickets.map(() => ({ kind: "done" as const }));
  });
  flow.grant(100);
  await pass(8_000);
  expect(new Set(got)).toEqual(new Set(ids));
});
