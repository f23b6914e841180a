import type { Expired, ExpiredStore } from "@longhaul/core";
import { expect, test } from "vitest";
import { silentLogger } from "../log/logger.ts";
import { expirySweep } from "./expiry-sweep.ts";

const dayMs = 86_400_000;
const t0 = 1_800_000_000_000;

/** A store of settled things, a clock and timers turned by hand, and a sweep over them. */
function world(settledAt: readonly number[], over: { retentionMs?: number; batch?: number } = {}) {
  let now = t0;
  let kept: Expired[] = settledAt.map((time, at) => ({ project: "p", id: `${at}`, rev: 0, settledAt: time }));
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const said: string[] = [];
  const fault: { list?: Error; remove?: () => Promise<number> } = {};
  const removals: number[] = [];
  const store: ExpiredStore = {
    listExpired: async (settledBy, limit) => {
      if (fault.list) throw fault.list;
      return kept.filter((one) => one.settledAt <= settledBy).slice(0, limit);
    },
    remove: async (expired) => {
      if (fault.remove) return await fault.remove();
      kept = kept.filter((one) => !expired.includes(one));
      removals.push(expired.length);
      return expired.length;
    },
  };
  const sweep = expirySweep({
    store,
    retentionMs: dayMs,
    now: () => now,
    log: { ...silentLogger, info: (_, message) => said.push(message), warn: (_, message) => said.push(message) },
    what: "tasks",
    later: (ms, run) => {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    ...over,
  });
  return {
    sweep,
    fault,
    removals,
    said,
    left: () => kept.map((one) => one.id),
    add: (time: number) => kept.push({ project: "p", id: "new", rev: 0, settledAt: time }),
    /** How long until it looks again. */
    restMs: () => Math.min(...[...timers].map((timer) => timer.at)) - now,
    waits: () => timers.size,
    async turn(ms: number) {
      now += ms;
      for (const timer of timers) if (timer.at <= now && timers.delete(timer)) timer.run();
      await sweep.idle();
    },
  };
}

test("what was settled longer ago than the retention goes at once, and the next when its time has come", async () => {
  const { sweep, turn, left, restMs, removals, said } = world([
    t0 - 3 * dayMs,
    t0 - dayMs,
    t0 - dayMs + 1,
    t0 - dayMs + 1_800_000,
  ]);
  sweep.start();
  await turn(0);
  expect(left()).toEqual(["2", "3"]);
  await turn(restMs());
  expect(left()).toEqual(["3"]);
  await turn(restMs());
  // It sleeps until the earliest expires, instead of looking again and again.
  expect(restMs()).toBeGreaterThan(1_700_000);
  await turn(restMs());
  expect(left()).toEqual([]);
  expect(removals).toEqual([2, 1, 1]);
  await turn(restMs());
  expect(said).toEqual(["expired tasks removed", "expired tasks removed"]);
});

test("many go in batches, with a rest after each", async () => {
  const { sweep, turn, left, restMs, removals } = world(
    Array.from({ length: 25 }, () => t0 - 2 * dayMs),
    { batch: 10 },
  );
  sweep.start();
  await turn(0);
  for (const rest of [15, 5, 0]) {
    expect(left()).toHaveLength(rest);
    expect(restMs()).toBeGreaterThanOrEqual(20);
    await turn(restMs());
  }
  expect(removals).toEqual([10, 10, 5]);
});

test("with nothing stored it looks again within the hour, or sooner when things are kept for less", async () => {
  const empty = world([]);
  empty.sweep.start();
  await empty.turn(0);
  expect(empty.restMs()).toBe(3_600_000);
  const short = world([], { retentionMs: 1_000 });
  short.sweep.start();
  await short.turn(0);
  expect(short.restMs()).toBe(1_000);
  short.add(t0);
  await short.turn(1_000);
  expect(short.left()).toEqual([]);
});

test("a failing store is tried again after ever longer pauses, and works again once it is back", async () => {
  const { sweep, turn, fault, restMs, left, said } = world([t0 - 2 * dayMs]);
  fault.list = new Error("away");
  sweep.start();
  await turn(0);
  const pauses: number[] = [];
  for (let i = 0; i < 12; i++) {
    pauses.push(restMs());
    await turn(restMs());
  }
  expect(pauses.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(pauses.at(-1)).toBe(300_000);
  expect(said).toHaveLength(13);
  delete fault.list;
  await turn(restMs());
  expect(left()).toEqual([]);
  fault.list = new Error("away");
  await turn(restMs());
  expect(restMs()).toBe(1_000);
});

test("a sweep that finds somebody else at it leaves it to him for a while", async () => {
  const { sweep, turn, fault, restMs } = world([t0 - 2 * dayMs]);
  fault.remove = async () => 0;
  sweep.start();
  await turn(0);
  expect(restMs()).toBe(60_000);
});

test("a paused sweep begins nothing, and one that starts again goes on", async () => {
  const { sweep, turn, left, waits } = world([t0 - 2 * dayMs]);
  sweep.start();
  sweep.start();
  expect(waits()).toBe(1);
  sweep.pause();
  await turn(dayMs);
  expect(left()).toHaveLength(1);
  expect(await sweep.idle()).toBe(false);
  sweep.start();
  await turn(0);
  expect(left()).toEqual([]);
});

test("stop waits for the batch under way, after which nothing is planned", async () => {
  const { sweep, turn, fault, waits } = world([t0 - 2 * dayMs]);
  let finish = (): void => {};
  const begun = new Promise<void>((tell) => {
    fault.remove = () =>
      new Promise((resolve) => {
        finish = () => resolve(1);
        tell();
      });
  });
  sweep.start();
  const turned = turn(0);
  await begun;
  let isStopped = false;
  const stopped = sweep.stop().then(() => {
    isStopped = true;
  });
  await Promise.resolve();
  expect(isStopped).toBe(false);
  finish();
  await stopped;
  await turned;
  expect(waits()).toBe(0);
});

test("one that is started again while a batch is under way keeps one timer", async () => {
  const { sweep, turn, fault, waits } = world([t0 - 2 * dayMs]);
  let finish = (): void => {};
  const begun = new Promise<void>((tell) => {
    fault.remove = () =>
      new Promise((resolve) => {
        finish = () => resolve(1);
        tell();
      });
  });
  sweep.start();
  const turned = turn(0);
  await begun;
  sweep.pause();
  sweep.start();
  expect(waits()).toBe(0);
  finish();
  await turned;
  expect(waits()).toBe(1);
});
