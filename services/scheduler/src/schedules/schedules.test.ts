import { LonghaulError, type TaskId } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { runSchedule, type ScheduleActions } from "./run-schedule.ts";
import { type ScheduleRecord, taskIdOf } from "./schedule-record.ts";
import { cronFault, isTimeZone, timesAfter, timesBetween } from "./schedule-times.ts";

const minute = 60_000;
const hour = 60 * minute;
const berlin = { kind: "cron", cron: "30 2 * * *", timeZone: "Europe/Berlin" } as const;
const at = (text: string): number => Date.parse(text);
const texts = (times: readonly number[]): string[] => times.map((time) => new Date(time).toISOString());

test("in the night in which the clock goes forward, a time that does not exist comes as soon as it would have been", () => {
  expect(texts(timesAfter(berlin, at("2026-03-28T00:00:00Z"), 3))).toEqual([
    "2026-03-28T01:30:00.000Z",
    "2026-03-29T01:00:00.000Z",
    "2026-03-30T00:30:00.000Z",
  ]);
});

test("in the night in which the clock goes back, a time that comes twice is taken once", () => {
  expect(texts(timesAfter(berlin, at("2026-10-24T12:00:00Z"), 3))).toEqual([
    "2026-10-25T00:30:00.000Z",
    "2026-10-26T01:30:00.000Z",
    "2026-10-27T01:30:00.000Z",
  ]);
});

test("an interval counts from its anchor, whoever asks and when", () => {
  const timing = { kind: "interval", intervalMs: minute, anchorMs: 1_234 } as const;
  expect(timesAfter(timing, 1_234, 2)).toEqual([61_234, 121_234]);
  expect(timesAfter(timing, 61_233, 1)).toEqual([61_234]);
  expect(timesAfter(timing, 61_234, 1)).toEqual([121_234]);
  expect(timesBetween(timing, 1_234, 200_000, 2)).toEqual([121_234, 181_234]);
  expect(timesBetween(timing, 1_234, 61_233, 5)).toEqual([]);
});

test("the times between two moments are those that come after the first, up to the second", () => {
  const timings = fc.oneof(
    fc.record({
      kind: fc.constant("interval" as const),
      intervalMs: fc.integer({ min: 1_000, max: hour }),
      anchorMs: fc.integer({ min: 0, max: 1e12 }),
    }),
    fc.record({
      kind: fc.constant("cron" as const),
      cron: fc.constantFrom("*/7 * * * *", "0 3 * * *", "15 30 2 * * 0", "0 0 1 * *"),
      timeZone: fc.constantFrom("UTC", "Europe/Berlin", "America/New_York"),
    }),
  );
  fc.assert(
    fc.property(timings, fc.integer({ min: 1e12, max: 2e12 }), fc.integer({ min: 0, max: 3 * hour }), (timing, from, length) => {
      const between = timesBetween(timing, from, from + length, 200);
      const after = timesAfter(timing, from, between.length + 1);
      // More than were asked for: then these are the last of them.
      if (between.length < 200 && (timing.kind === "cron" || from >= timing.anchorMs)) {
        expect(after.slice(0, between.length)).toEqual(between);
        expect(after.at(-1) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(from + length);
      }
      for (const time of between) expect(time > from && time <= from + length).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test("what is no cron expression or time zone is said", () => {
  for (const cron of ["0 3 * * *", "*/5 * * * * *", "0 9 * * MON#1", "@daily", "0 0 L * *"])
    expect(cronFault(cron)).toBeUndefined();
  for (const cron of ["", "61 * * * *", "* * *", "tomorrow", "0 0 30 2 *", "* * * * * * 2030"])
    expect(cronFault(cron)).toBeTypeOf("string");
  expect(isTimeZone("Europe/Berlin")).toBe(true);
  expect(isTimeZone("Atlantis/Centre")).toBe(false);
});

function record(over: Partial<ScheduleRecord> = {}): ScheduleRecord {
  return {
    workflow: "w",
    input: "{}",
    intervalMs: minute,
    overlap: "skip",
    catchUpMs: 0,
    maxCatchUp: 10,
    paused: false,
    labels: {},
    priority: 0,
    anchorMs: 0,
    lastMs: 0,
    runs: [],
    ...over,
  };
}

/** Tasks that live until they are told to end. */
function world() {
  const started: number[] = [];
  const live = new Set<TaskId>();
  const cancelled: TaskId[] = [];
  const actions: ScheduleActions = {
    async start(timeMs) {
      const taskId = taskIdOf("acme", "uid", timeMs);
      if (!started.includes(timeMs)) {
        started.push(timeMs);
        live.add(taskId);
      }
      return { taskId };
    },
    isLive: async (id) => live.has(id),
    async cancel(id) {
      cancelled.push(id);
      live.delete(id);
    },
  };
  return { actions, started, live, cancelled };
}

const outcomes = ({ runs }: ScheduleRecord): [number, string][] => runs.map(({ time, outcome }) => [time, outcome]);

test("a time that has come starts one task; nothing that has not come does", async () => {
  const { actions, started } = world();
  expect(await runSchedule(record(), minute - 1, actions)).toEqual(record());
  const next = await runSchedule(record(), minute + 5, actions);
  expect(started).toEqual([minute]);
  expect(next).toMatchObject({ lastMs: minute, lastTaskId: taskIdOf("acme", "uid", minute) });
  expect(outcomes(next)).toEqual([[minute, "started"]]);
});

test("done again after a crash it starts nothing twice", async () => {
  const { actions, started } = world();
  const once = await runSchedule(record(), minute, actions);
  expect(await runSchedule(record(), minute, actions)).toEqual(once);
  expect(started).toEqual([minute]);
});

test("times that were missed: the latest one always, older ones as far as catching up is asked for", async () => {
  const late = world();
  const none = await runSchedule(record(), 5 * minute + 10, late.actions);
  expect(late.started).toEqual([5 * minute]);
  expect(outcomes(none).filter(([, outcome]) => outcome === "missed")).toHaveLength(4);

  const some = world();
  const policy = { overlap: "cancel_previous", catchUpMs: 2 * minute + 20 } as const;
  await runSchedule(record(policy), 5 * minute + 10, some.actions);
  expect(some.started).toEqual([3 * minute, 4 * minute, 5 * minute]);

  const few = world();
  await runSchedule(record({ ...policy, catchUpMs: hour, maxCatchUp: 2 }), 5 * minute + 10, few.actions);
  expect(few.started).toEqual([4 * minute, 5 * minute]);
});

test("a week away from a schedule of every second is looked through in bounded time", async () => {
  const { actions, started } = world();
  const next = await runSchedule(record({ intervalMs: 1_000 }), 7 * 24 * hour, actions);
  expect(started).toEqual([7 * 24 * hour]);
  expect(next.lastMs).toBe(7 * 24 * hour);
});

test("skip starts none while the one before is under way", async () => {
  const { actions, started, live } = world();
  const first = await runSchedule(record(), minute, actions);
  const second = await runSchedule(first, 2 * minute, actions);
  expect(started).toEqual([minute]);
  expect(outcomes(second)[0]).toEqual([2 * minute, "skipped"]);
  live.clear();
  await runSchedule(second, 3 * minute, actions);
  expect(started).toEqual([minute, 3 * minute]);
});

test("queue starts it when the one before has ended, and at most one waits", async () => {
  const { actions, started, live } = world();
  const first = await runSchedule(record({ overlap: "queue" }), minute, actions);
  const second = await runSchedule(first, 2 * minute, actions);
  expect(second.queuedMs).toBe(2 * minute);
  const third = await runSchedule(second, 3 * minute, actions);
  expect(outcomes(third)[0]).toEqual([3 * minute, "skipped"]);
  expect(started).toEqual([minute]);
  live.clear();
  const fourth = await runSchedule(third, 3 * minute + 1, actions);
  expect(started).toEqual([minute, 2 * minute]);
  expect(fourth.queuedMs).toBeUndefined();
});

test("cancel_previous ends the one before", async () => {
  const { actions, started, cancelled } = world();
  const first = await runSchedule(record({ overlap: "cancel_previous" }), minute, actions);
  await runSchedule(first, 2 * minute, actions);
  expect(started).toEqual([minute, 2 * minute]);
  expect(cancelled).toEqual([taskIdOf("acme", "uid", minute)]);
});

test("a refused start is told and the schedule goes on; one of which nothing is known stops it there", async () => {
  const { actions } = world();
  const refusing = { ...actions, start: async () => ({ refused: "the workflow is disabled" }) };
  const next = await runSchedule(record(), minute, refusing);
  expect(next).toMatchObject({ lastMs: minute, runs: [{ outcome: "refused", reason: "the workflow is disabled" }] });
  const down = { ...actions, start: async () => Promise.reject(new LonghaulError("unavailable", "away")) };
  await expect(runSchedule(record(), minute, down)).rejects.toMatchObject({ code: "unavailable" });
});
