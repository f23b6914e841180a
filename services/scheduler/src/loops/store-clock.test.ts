import { silentLogger } from "@longhaul/shared";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stepsOf } from "../testing/start-scheduler.ts";
import { storeClock } from "./store-clock.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = stepsOf((ms) => vi.advanceTimersByTimeAsync(ms));

test("times are the database's, whatever this machine's clock says", async () => {
  let theirs = 5_000_000;
  let mine = 1_000;
  let tookMs = 0;
  const clock = storeClock({
    read: async () => {
      mine += tookMs;
      return theirs;
    },
    log: silentLogger,
    local: () => mine,
  });
  await clock.start();
  expect(clock.now()).toBe(5_000_000);
  mine += 250;
  expect(clock.now()).toBe(5_000_250);
  // An answer that took long says nothing exact.
  theirs = 9_000_000;
  tookMs = 2_500;
  await pass(30_000);
  expect(clock.now()).toBe(mine + 4_999_000);
  tookMs = 100;
  await pass(30_000);
  expect(clock.now()).toBe(9_000_050);
  await clock.stop();
});
