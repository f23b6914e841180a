import { LonghaulError } from "@longhaul/core";
import { Verdict } from "@longhaul/proto/execution_service";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { claimed, fail, harness, leaseMs, settle, ticket } from "../testing/harness.ts";

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

test("a report answered lost ends the run before its next effect", async () => {
  const world = await started();
  world.answers.report = ({ nodes }) => (nodes.some(({ path }) => path === "b") ? Verdict.LOST : Verdict.CONTINUE);
  await world.give(ticket("calls-1"));
  await settle();
  world.calls[0]?.answer();
  await settle();
  expect(world.calls).toHaveLength(1);
  expect(world.runner.held()).toBe(0);
  expect(world.credit()).toBe(4);
});

test("a report is sent again under its number, at a decent pace, until it is answered", async () => {
  const world = await started();
  let isAway = true;
  world.answers.report = () => (isAway ? fail(away) : Verdict.CONTINUE);
  await world.give(ticket("echo-1"));
  await pass(5_000);
  expect(world.reports.length).toBeGreaterThan(3);
  expect(world.reports.length).toBeLessThan(10);
  expect(new Set(world.reports.map(({ number }) => number))).toEqual(new Set([1]));
  isAway = false;
  await pass(2_500);
  expect(world.runner.held()).toBe(0);
  expect(world.credit()).toBe(4);
});

test("a report that is never answered is given up when the lease ends", async () => {
  const world = await started();
  world.answers.report = () => fail(away);
  world.answers.heartbeat = () => fail(away);
  await world.give(ticket("echo-1"));
  await pass(leaseMs + 3_000);
  expect(world.runner.held()).toBe(0);
  const sent = world.reports.length;
  await pass(60_000);
  expect(world.reports).toHaveLength(sent);
});

test("a report that is refused for good fails its task under the same number", async () => {
  const world = await started();
  world.answers.report = ({ outcome }) =>
    outcome.case === "failure" ? Verdict.CONTINUE : fail(new LonghaulError("too_large", "too large"));
  await world.give(ticket("call-1"));
  await settle();
  expect(world.calls).toHaveLength(0);
  expect(world.reports.map(({ number, outcome }) => [number, outcome.case])).toEqual([
    [1, "progress"],
    [1, "failure"],
  ]);
});

test("a report that spoils its group harms nobody else", async () => {
  const world = await started();
  world.answers.report = ({ taskId, outcome }) =>
    taskId === "echo-2" && outcome.case === "success" ? fail(new LonghaulError("invalid_argument", "broken")) : Verdict.CONTINUE;
  await world.give(ticket("echo-1"), ticket("echo-2"), ticket("echo-3"));
  await settle();
  const last = new Map(world.reports.map((report) => [report.taskId, report.outcome.case]));
  expect([...last]).toEqual([
    ["echo-1", "success"],
    ["echo-2", "failure"],
    ["echo-3", "success"],
  ]);
  expect(world.runner.held()).toBe(0);
});

test("an error that nobody expected is tried again, but not for ever", async () => {
  const world = await started();
  let left = 3;
  world.answers.report = ({ taskId }) =>
    taskId === "echo-2" || left-- > 0 ? fail(new LonghaulError("internal", "internal error")) : Verdict.CONTINUE;
  await world.give(ticket("echo-1"));
  await pass(3_000);
  expect(world.reports.at(-1)).toMatchObject({ number: 1, outcome: { case: "success" } });
  await world.give(ticket("echo-2"));
  await pass(30_000);
  expect(world.reports.at(-1)?.outcome.case).toBe("failure");
  expect(world.runner.held()).toBe(0);
  expect(world.credit()).toBe(4);
});

test("a value that is too large fails its task, counted in bytes and not in letters", async () => {
  const world = await started({ maxValueBytes: 100 });
  world.answers.claim = (taskId, attempt) =>
    claimed(taskId, attempt, { input: inline(taskId === "echo-1" ? "ä".repeat(60) : "a".repeat(60)) });
  await world.give(ticket("echo-1"), ticket("echo-2"));
  await settle();
  const byTask = new Map(world.reports.map((report) => [report.taskId, report]));
  expect(byTask.get("echo-1")).toMatchObject({
    outcome: { case: "failure", value: { error: { code: "node_failed", node: "a", details: { cause: "too_large" } } } },
  });
  expect(byTask.get("echo-2")?.outcome.case).toBe("success");
});

function inline(text: string) {
  const { input } = claimed("x", 1);
  if (input === undefined) throw new Error("no input");
  input.value = { case: "json", value: Buffer.from(JSON.stringify(text)) };
  return input;
}
