import { expect, test } from "vitest";
import { handClock } from "./hand-clock.ts";

test("nothing happens until the clock is turned, and then in order of time", async () => {
  const clock = handClock(1_000);
  const seen: [string, number][] = [];
  const note = (name: string) => () => void seen.push([name, clock.now()]);
  clock.later(30, note("c"));
  clock.later(10, note("a"));
  clock.later(10, note("b"));
  await clock.advance(9);
  expect(seen).toEqual([]);
  await clock.advance(91);
  expect(seen).toEqual([
    ["a", 1_010],
    ["b", 1_010],
    ["c", 1_030],
  ]);
  expect(clock.now()).toBe(1_100);
  expect(clock.waiting()).toBe(0);
});

test("a loop that sleeps runs as often as the time allows within one turn of the clock", async () => {
  const clock = handClock(0);
  const seen: number[] = [];
  const stop = new AbortController();
  const loop = (async () => {
    for (;;) {
      await clock.sleep(100, stop.signal);
      seen.push(clock.now());
    }
  })();
  await clock.advance(350);
  expect(seen).toEqual([100, 200, 300]);
  stop.abort(new Error("enough"));
  await expect(loop).rejects.toThrow("enough");
  expect(clock.waiting()).toBe(0);
  await expect(clock.sleep(1, stop.signal)).rejects.toThrow("enough");
});

test("what is called off does not run", async () => {
  const clock = handClock();
  let ran = false;
  clock.later(5, () => {
    ran = true;
  })();
  await clock.advance(10);
  expect(ran).toBe(false);
});
