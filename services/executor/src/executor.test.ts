import { inProcessDispatch, inProcessLive } from "@longhaul/adapters/in-process";
import { LonghaulError, type Ticket } from "@longhaul/core";
import { type TaskReport, Verdict } from "@longhaul/proto/execution_service";
import { silentLogger } from "@longhaul/shared";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { executor } from "./executor.ts";
import { claimed, fail, harness, leaseMs, settle, ticket } from "./testing/harness.ts";

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

test("it grants what it can start, and gives back what has ended", async () => {
  const world = await started({ concurrency: 4 });
  expect(world.credit()).toBe(4);
  await world.give(ticket("call-1"), ticket("call-2"), ticket("call-3"));
  await settle();
  expect(world.credit()).toBe(1);
  expect(world.runner.held()).toBe(3);
  world.calls[0]?.answer();
  await settle();
  expect(world.runner.held()).toBe(2);
  expect(world.credit()).toBe(2);
});

test("a refused claim is done with, and gives its place back", async () => {
  const world = await started();
  world.answers.claim = () => undefined;
  expect(await world.give(ticket("call-1"))).toEqual([{ kind: "done" }]);
  await settle();
  expect(world.credit()).toBe(4);
  expect(world.runner.held()).toBe(0);
});

test("a ticket whose claim failed comes back later, and gives its place back", async () => {
  const world = await started();
  world.answers.claim = () => fail(away);
  expect(await world.give(ticket("call-1"))).toEqual([{ kind: "retry", delayMs: 1_000 }]);
  await settle();
  expect(world.credit()).toBe(4);
});

test("a ticket that came twice starts one run", async () => {
  const world = await started();
  await world.give(ticket("call-1"), ticket("call-1"));
  await settle();
  expect(world.runner.held()).toBe(1);
  expect(world.calls).toHaveLength(1);
  expect(world.credit()).toBe(3);
});

test("a claim of a later attempt ends the run of the earlier one, and neither place is lost", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  await world.give(ticket("call-1", { attempt: 1 }));
  await settle();
  expect(world.calls[0]?.request.signal?.aborted).toBe(true);
  expect(world.calls[1]?.request.signal?.aborted).toBe(false);
  expect(world.runner.held()).toBe(1);
  world.calls[1]?.answer();
  await settle();
  expect(world.reports.at(-1)).toMatchObject({ attempt: 2, outcome: { case: "success" } });
  expect(world.credit()).toBe(4);
});

test("definitions are read once, also by tasks that begin together", async () => {
  const world = await started();
  await world.give(ticket("echo-1"), ticket("echo-2"), ticket("echo-3"));
  await settle();
  await world.give(ticket("echo-4"));
  await settle();
  expect(world.reports).toHaveLength(4);
  expect(world.sent.definitions).toBe(1);
});

test("a definition that can't be read now is asked for again, and the task lives on", async () => {
  const world = await started();
  const { definition } = world.answers;
  world.answers.definition = () => fail(world.sent.definitions % 2 === 0 ? away : new LonghaulError("deadline_exceeded", "late"));
  await world.give(ticket("echo-1"));
  await pass(4_000);
  expect(world.reports).toEqual([]);
  expect(world.sent.definitions).toBeGreaterThan(3);
  expect(world.sent.definitions).toBeLessThan(10);
  world.answers.definition = definition;
  await pass(2_000);
  expect(world.reports.at(-1)).toMatchObject({ number: 1, outcome: { case: "success" } });
});

test("a definition that this version can't run fails its task", async () => {
  const world = await started();
  await world.give(ticket("broken-1"));
  await settle();
  expect(world.reports).toMatchObject([{ outcome: { case: "failure", value: { error: { code: "node_failed" } } } }]);
  expect(world.credit()).toBe(4);
});

test("values that do not travel with the claim are read by their key", async () => {
  const world = await started();
  world.answers.claim = (taskId, attempt) => claimed(taskId, attempt, { input: keyed("echo-1/input") });
  world.answers.payload = (key) => ({ of: key });
  await world.give(ticket("echo-1"));
  await settle();
  expect(world.sent.payloads).toEqual(["echo-1/input"]);
  expect(successOf(world.reports.at(-1))).toEqual({ of: "echo-1/input" });
});

function keyed(key: string) {
  const { input } = claimed("x", 1);
  if (input === undefined) throw new Error("no input");
  input.value = { case: "key", value: key };
  return input;
}
function successOf(report: TaskReport | undefined): unknown {
  if (report?.outcome.case !== "success") throw new Error(`it is ${report?.outcome.case}`);
  return JSON.parse(Buffer.from(report.outcome.value.outputJson).toString());
}

test("a lease is kept alive by heartbeats at a third of it, and by reports", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await pass(leaseMs / 3 - 600);
  expect(world.sent.heartbeats).toEqual([]);
  await pass(1_200);
  expect(world.sent.heartbeats).toEqual(["call-1"]);
  await pass(10 * leaseMs);
  expect(world.calls[0]?.request.signal?.aborted).toBe(false);
  expect(world.sent.heartbeats.length).toBeLessThan(40);
});

test("when heartbeats fail every call is aborted before the lease ends", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  world.answers.heartbeat = () => fail(away);
  await pass(leaseMs - 1_500);
  expect(world.calls[0]?.request.signal?.aborted).toBe(false);
  await pass(1_499);
  expect(world.calls[0]?.request.signal?.aborted).toBe(true);
  expect(world.runner.held()).toBe(0);
  expect(world.credit()).toBe(4);
});

test("a heartbeat that hangs does not hide the end of another lease", async () => {
  const world = await started();
  await world.give(ticket("call-1"));
  await pass(leaseMs - 6_000);
  world.answers.heartbeat = () => new Promise(() => {});
  await world.give(ticket("call-2"));
  // The next heartbeat hangs for its ten seconds; both leases end meanwhile or shortly after.
  await pass(leaseMs - 1);
  expect(world.calls.map(({ request }) => request.signal?.aborted)).toEqual([true, true]);
});

test.each([
  ["lost", Verdict.LOST],
  ["cancelled", Verdict.CANCEL],
] as const)("a heartbeat answered %s stops the task", async (_, verdict) => {
  const world = await started();
  await world.give(ticket("call-1"));
  await settle();
  world.answers.heartbeat = () => verdict;
  await pass(leaseMs / 3 + 1_000);
  expect(world.calls[0]?.request.signal?.aborted).toBe(true);
  expect(world.runner.held()).toBe(0);
  expect(world.reports.filter((report) => report.outcome.case !== "progress")).toEqual([]);
});

test("a revocation stops the attempt it names and no other", async () => {
  const world = await started();
  await world.give(ticket("call-1"), ticket("call-2"));
  await settle();
  for (const noise of [null, 7, "call-1", {}, { taskId: "call-1" }, { taskId: 1, attempt: 1 }, { taskId: "call-9", attempt: 1 }])
    world.revoke(noise);
  world.revoke({ taskId: "call-1", attempt: 2 });
  await settle();
  expect(world.runner.held()).toBe(2);
  world.revoke({ taskId: "call-1", attempt: 1 });
  await settle();
  expect(world.calls.map(({ request }) => request.signal?.aborted)).toEqual([true, false]);
  expect(world.credit()).toBe(3);
});

test("whatever happens, it never holds more than it may and never loses a place", async () => {
  vi.useRealTimers();
  const end = fc.constantFrom("succeeds", "claim fails", "stale", "lost", "cancelled", "twice");
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(end, { minLength: 1, maxLength: 40 }),
      async (concurrency, ends) => {
        const dispatch = inProcessDispatch({ window: 1_000, rejectedDelayMs: 1 });
        const world = harness();
        const failed = new Set<string>();
        const kindOf = (taskId: string): string => ends[Number(taskId.split("-")[1])] ?? "succeeds";
        world.answers.claim = (taskId, attempt) => {
          const kind = kindOf(taskId);
          if (kind === "claim fails" && !failed.has(taskId)) {
            failed.add(taskId);
            return undefined;
          }
          return kind === "stale" ? undefined : claimed(taskId, attempt);
        };
        world.answers.report = ({ taskId }) => {
          const kind = kindOf(taskId);
          return kind === "lost" ? Verdict.LOST : kind === "cancelled" ? Verdict.CANCEL : Verdict.CONTINUE;
        };
        let most = 0;
        let granted = 0;
        const runner = executor({
          client: world.client,
          inlet: {
            consume: (take) => {
              const flow = dispatch.inlet.consume(async (tickets) => {
                granted -= tickets.length;
                const verdicts = await take(tickets);
                return verdicts;
              });
              return {
                grant: (count) => {
                  granted += count;
                  most = Math.max(most, granted + runner.held());
                  flow.grant(count);
                },
                stop: () => flow.stop(),
              };
            },
          },
          live: inProcessLive(),
          outbound: {
            request: async () => ({ status: 200, headers: {}, body: new Uint8Array() }),
            stream: () => Promise.reject(new Error("nobody streams here")),
          },
          log: silentLogger,
          name: "executor-1",
          concurrency,
          maxValueBytes: 1_000,
        });
        await runner.start();
        const tickets = ends.map((_, i): Ticket => ticket(`call-${i}`, { alone: false }));
        await dispatch.outlet.publish(1, tickets);
        for (
          let turn = 0;
          turn < 2_000 && (granted !== concurrency || (await dispatch.outlet.unclaimed([1])).get(1) !== 0);
          turn++
        )
          await new Promise((resolve) => setImmediate(resolve));
        expect(granted).toBe(concurrency);
        expect(runner.held()).toBe(0);
        expect(most).toBeLessThanOrEqual(concurrency);
        await runner.stop();
      },
    ),
    { numRuns: 60 },
  );
});
