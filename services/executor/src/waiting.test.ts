import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Arrival, ArrivalSchema, HoldResultSchema, StoredNodeSchema } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { claimed, harness, settle, ticket } from "./testing/harness.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const signals = {
  name: "signals",
  nodes: [
    { id: "one", kind: "signal" },
    { id: "call", kind: "http", with: { url: "https://work.test/call" }, timeout: "1h" },
  ],
};
const arrival = (seq: number, node: string, json: string): Arrival =>
  create(ArrivalSchema, { seq: BigInt(seq), node, by: "ann", payload: { value: { case: "json", value: Buffer.from(json) } } });

async function started(more: Parameters<typeof harness>[0] = {}) {
  const world = harness(more);
  world.answers.definition = () => signals;
  await world.runner.start();
  return world;
}

test("a task that only waits is reported as waiting and lets go of its place", async () => {
  const world = await started();
  await world.give(ticket("signals-1"));
  await settle();
  expect(world.runner.held()).toBe(1);
  world.calls[0]?.answer();
  await settle();
  expect(world.reports.at(-1)?.outcome).toMatchObject({
    case: "wait",
    value: { waits: [{ kind: "signal", node: "one", name: "one" }], waitCount: 1, seen: 0n },
  });
  expect(world.reports.flatMap(({ nodes }) => nodes).find(({ path }) => path === "one")).toMatchObject({
    state: NodeState.WAITING,
    wait: { kind: "signal", name: "one" },
  });
  expect([world.runner.held(), world.credit()]).toEqual([0, 4]);
});

test("what comes with the claim, large values included, is taken up and leaves the inbox", async () => {
  const world = await started();
  const wait = { kind: "signal", name: "one", reason: "It waits.", since: timestampFromMs(1) };
  const stored = [create(StoredNodeSchema, { path: "one", kind: "signal", state: NodeState.WAITING, tries: 1, wait })];
  const large = create(ArrivalSchema, { seq: 7n, node: "one", payload: { value: { case: "key", value: "k" } } });
  world.answers.claim = (taskId, attempt) => claimed(taskId, attempt, { nodes: stored, arrivals: [large] });
  world.answers.payload = (key) => `value of ${key}`;
  await world.give(ticket("signals-1"));
  await settle();
  world.calls[0]?.answer();
  await settle();
  expect(world.reports.flatMap(({ consumed }) => consumed)).toEqual([7n]);
  expect(world.reports.at(-1)?.outcome.case).toBe("success");
  const one = world.reports.flatMap(({ nodes }) => nodes).findLast(({ path }) => path === "one");
  expect(JSON.parse(Buffer.from(one?.outputJson ?? "").toString())).toBe("value of k");
});

test("a bell for an arrival fetches it at once, once, and leaves the task running", async () => {
  const world = await started();
  const { heartbeat } = world.client;
  await world.give(ticket("signals-1"));
  await settle();
  Object.assign(world.client, {
    heartbeat: async (...args: Parameters<typeof heartbeat>) => {
      const answer = await heartbeat(...args);
      return {
        ...answer,
        results: answer.results.map((result) =>
          create(HoldResultSchema, { taskId: result.taskId, verdict: result.verdict, arrivals: [arrival(1, "one", "5")] }),
        ),
      };
    },
  });
  world.revoke({ taskId: "signals-1", attempt: 1, arrival: true });
  await settle();
  world.revoke({ taskId: "signals-1", attempt: 1, arrival: true });
  await settle();
  expect(world.sent.heartbeats).toEqual(["signals-1", "signals-1"]);
  expect(world.runner.held()).toBe(1);
  world.calls[0]?.answer();
  await settle();
  expect(world.reports.at(-1)?.outcome.case).toBe("success");
  expect(world.reports.flatMap(({ consumed }) => consumed)).toEqual([1n]);
});

test("a scheduler whose clock is ahead is believed: what it says is due is due", async () => {
  const world = await started();
  const due = Date.now() + 60_000;
  world.answers.definition = () => ({
    name: "signals",
    nodes: [{ id: "w", kind: "wait", with: { until: new Date(due).toISOString() } }],
  });
  const wait = { kind: "timer", reason: "It waits.", since: timestampFromMs(1), until: timestampFromMs(due) };
  const stored = [create(StoredNodeSchema, { path: "w", kind: "wait", state: NodeState.WAITING, tries: 1, wait })];
  world.answers.claim = (taskId, attempt) => claimed(taskId, attempt, { nodes: stored, time: timestampFromMs(due) });
  await world.give(ticket("signals-1"));
  await settle();
  expect(world.reports.at(-1)?.outcome.case).toBe("success");
});

test("results that are too much for one message go in several, in their order, the ending with the last", async () => {
  const world = await started({ maxValueBytes: 16_777_216 });
  const ids = ["a", "b", "c", "d"];
  world.answers.definition = () => ({
    name: "signals",
    nodes: ids.map((id) => ({ id, kind: "transform", with: "${ input }" })),
    output: null,
  });
  const input = Buffer.from(JSON.stringify("x".repeat(3_000_000)));
  world.answers.claim = (taskId, attempt) => claimed(taskId, attempt, { input: { value: { case: "json", value: input } } });
  await world.give(ticket("signals-1"));
  for (let turn = 0; turn < 10; turn++) await settle();
  expect(world.reports.map(({ number }) => number)).toEqual(world.reports.map((_, i) => i + 1));
  expect(world.reports.length).toBeGreaterThan(1);
  expect(world.reports.map(({ outcome }) => outcome.case)).toEqual(["progress", "success"]);
  expect(world.reports.flatMap(({ nodes }) => nodes.map(({ path }) => path))).toEqual(ids);
  for (const { nodes } of world.reports)
    expect(nodes.reduce((bytes, node) => bytes + node.outputJson.byteLength, 0)).toBeLessThanOrEqual(8_388_608);
});
