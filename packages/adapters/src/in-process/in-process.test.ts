import { expect, test } from "vitest";
import { testDispatch } from "../contract/dispatch.ts";
import { testLive } from "../contract/live.ts";
import { inProcessDispatch, inProcessLive } from "./index.ts";

testDispatch("in-process", async (options) => ({
  ...inProcessDispatch({ ...options, rejectedDelayMs: 50 }),
  close: async () => {},
}));

testLive("in-process", async () => {
  const live = inProcessLive();
  return { here: live, there: live, close: async () => {} };
});

test("a window that is no whole number of at least 1 is refused", () => {
  for (const window of [0, -1, 1.5, Number.NaN]) expect(() => inProcessDispatch({ window })).toThrow("at least 1");
});

test("what a listener threw is told", async () => {
  const faults: unknown[] = [];
  const live = inProcessLive({ onFault: (fault, subject) => faults.push([fault, subject]) });
  live.subscribe("s", () => {
    throw "broken";
  });
  const told = new Promise<void>((resolve) => live.subscribe("s", () => resolve()));
  live.publish("s", 1);
  await told;
  expect(faults).toEqual([["broken", "s"]]);
});
