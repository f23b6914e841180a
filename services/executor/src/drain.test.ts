import { LonghaulError } from "@longhaul/core";
import { Verdict } from "@longhaul/proto/execution_service";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fail, harness, settle, ticket } from "./testing/harness.ts";

const away = new LonghaulError("unavailable", "the scheduler is away");

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

test("a drain takes nothing more and waits for what is held", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  const deadline = new AbortController();
  let isDrained = false;
  const drained = world.runner.drain(deadline.signal).then(() => {
    isDrained = true;
  });
  await settle();
  expect(isDrained).toBe(false);
  world.calls[0]?.answer();
  await drained;
  expect(world.reports.at(-1)?.outcome.case).toBe("success");
  expect(world.credit()).toBe(0);
  await world.runner.stop();
  expect(vi.getTimerCount()).toBe(0);
});

test("what a drain can't wait for is given back, after its last report is stored", async () => {
  const world = await started();
  await world.give(ticket("calls-1"));
  await settle();
  const deadline = new AbortController();
  const drained = world.runner.drain(deadline.signal);
  world.answers.report = async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return Verdict.CONTINUE;
  };
  world.calls[0]?.answer({ done: true });
  await settle();
  deadline.abort();
  await drained;
  const stopped = world.runner.stop();
  await pass(3_500);
  await stopped;
  const result = world.reports.find(({ nodes }) => nodes.some((node) => node.path === "a" && node.outputJson.byteLength > 0));
  expect(result).toBeDefined();
  expect(world.sent.order.indexOf(`stored calls-1 ${result?.number}`)).toBeLessThan(world.sent.order.indexOf("release calls-1"));
  expect(world.sent.order).toContain("release calls-1");
  expect(world.runner.held()).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test("a scheduler that is away during a stop is not stormed, and delays it by seconds only", async () => {
  const world = await started();
  await world.give(ticket("calls-1"));
  await settle();
  world.answers.report = () => fail(away);
  world.calls[0]?.answer();
  await settle();
  const before = world.reports.length;
  const stopped = world.runner.stop();
  await pass(3_100);
  await stopped;
  expect(world.reports.length - before).toBeLessThan(10);
  expect(world.sent.releases).toEqual(["calls-1"]);
});

test("a drain sends one that still waits for its turn back to others", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  const alone = world.give(ticket("call-2", { alone: true }));
  await settle();
  const drained = world.runner.drain(new AbortController().signal);
  expect(await alone).toEqual([{ kind: "retry", delayMs: 250 }]);
  world.calls[0]?.answer();
  await drained;
  expect(world.sent.claims).toBe(1);
});
