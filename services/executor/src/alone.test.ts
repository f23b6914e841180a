import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { harness, settle, ticket } from "./testing/harness.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await settle();
}
async function started(more: Parameters<typeof harness>[0] = {}) {
  const world = harness(more);
  await world.runner.start();
  return world;
}

test("a task that was lost before begins when the others have ended, and nobody joins it for a second", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  const alone = world.give(ticket("call-2", { attempt: 1, alone: true }));
  await pass(5_000);
  expect(world.calls).toHaveLength(1);
  expect(await world.give(ticket("call-3"))).toEqual([{ kind: "retry", delayMs: 250 }]);
  world.calls[0]?.answer();
  await settle();
  expect(await alone).toEqual([{ kind: "done" }]);
  expect(world.calls).toHaveLength(2);
  expect(await world.give(ticket("call-3"))).toEqual([{ kind: "retry", delayMs: 250 }]);
  await pass(1_000);
  expect(await world.give(ticket("call-3"))).toEqual([{ kind: "done" }]);
  await settle();
  expect(world.runner.held()).toBe(2);
  expect(world.credit()).toBe(2);
});

test("it waits half a minute for the others and no longer", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  const alone = world.give(ticket("call-2", { alone: true }));
  await pass(29_900);
  expect(world.runner.held()).toBe(1);
  await pass(200);
  expect(await alone).toEqual([{ kind: "done" }]);
  expect(world.runner.held()).toBe(2);
});

test("several of them begin one after the other", async () => {
  const world = await started();
  const all = [1, 2, 3].map((n) => world.give(ticket(`call-${n}`, { alone: true })));
  await pass(900);
  expect(world.calls).toHaveLength(1);
  await pass(200);
  await pass(1_000);
  world.calls[0]?.answer();
  await pass(30_000);
  world.calls[1]?.answer();
  await pass(30_000);
  await Promise.all(all);
  expect(world.calls).toHaveLength(3);
  world.calls[2]?.answer();
  await pass(1_000);
  expect(world.credit()).toBe(4);
  expect(await world.give(ticket("call-4"))).toEqual([{ kind: "done" }]);
});
