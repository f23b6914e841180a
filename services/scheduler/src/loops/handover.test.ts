import { LonghaulError } from "@longhaul/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
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
async function begin(options: StartOptions = {}): Promise<StartedScheduler> {
  const world = await startScheduler(options);
  worlds.push(world);
  return world;
}

const order = { webhook: { url: "https://x.test/hook" } };
async function endOne(world: StartedScheduler): Promise<string> {
  const id = await world.accepted(order);
  await world.claim(id);
  await world.report(id, { outcome: success({ ok: true }) });
  await settle();
  return id;
}

test("an ending is handed over with the task as GET shows it, and settled by the answer", async () => {
  const world = await begin();
  await pass(10);
  const id = await endOne(world);
  expect(world.orders.map(({ id: one, event, url }) => [one, event, url])).toEqual([
    [`${id}.task.succeeded`, "task.succeeded", "https://x.test/hook"],
  ]);
  const body = JSON.parse(Buffer.from(world.orders[0]?.body ?? "").toString());
  expect(body).toMatchObject({ type: "task.succeeded", data: { id, state: "succeeded", output: { ok: true } } });
  expect((await world.task(id)).owes).toEqual([]);
});

test("a large output goes as a link", async () => {
  const world = await begin();
  await pass(10);
  const id = await world.accepted(order);
  await world.claim(id);
  await world.report(id, { outcome: success("x".repeat(300_000)) });
  await settle();
  const body = JSON.parse(Buffer.from(world.orders[0]?.body ?? "").toString());
  expect(body.data.output).toBeUndefined();
  expect(body.data.links.self).toBe(`/v1/tasks/${id}`);
});

test("what the notifier did not take is offered again, later and later, until it does", async () => {
  const world = await begin();
  await pass(10);
  let isAway = true;
  world.notifier.accept = async (orders) => {
    if (isAway) throw new LonghaulError("unavailable", "away");
    return orders.map(({ id }) => id);
  };
  const id = await endOne(world);
  expect((await world.task(id)).owes).toMatchObject([{ event: "task.succeeded", failures: 1 }]);
  await pass(60_000);
  const { length } = world.orders;
  expect(length).toBeGreaterThan(3);
  expect(length).toBeLessThan(20);
  isAway = false;
  await pass(61_000);
  expect((await world.task(id)).owes).toEqual([]);
});

test("one that is refused alone is deferred alone", async () => {
  const world = await begin();
  await pass(10);
  let refused = "";
  world.notifier.accept = async (orders) => orders.map(({ id }) => id).filter((id) => !id.startsWith(refused));
  refused = "01";
  const first = await endOne(world);
  expect((await world.task(first)).owes).toHaveLength(1);
  refused = "nothing";
  const second = await endOne(world);
  expect((await world.task(second)).owes).toEqual([]);
});

test("a dead notifier costs no memory: beyond a bound the sweep brings them back", async () => {
  const world = await begin({ dispatchWindow: 5_000 });
  await pass(10);
  let most = 0;
  let offered = 0;
  world.notifier.accept = (orders) => {
    offered += orders.length;
    most = Math.max(most, offered);
    return new Promise(() => {});
  };
  const ids: string[] = [];
  for (let i = 0; i < 12; i++) {
    const results = await world.submit(...Array.from({ length: 200 }, () => order));
    for (const { result } of results) if (result.case === "accepted") ids.push(result.value.id);
  }
  await world.tasks.batchCancel({ ids: ids.slice(0, 500) }, acme);
  for (let i = 500; i < ids.length; i += 500) await world.tasks.batchCancel({ ids: ids.slice(i, i + 500) }, acme);
  await settle();
  expect(ids).toHaveLength(2_400);
  expect(most).toBeLessThanOrEqual(2_000);
});
