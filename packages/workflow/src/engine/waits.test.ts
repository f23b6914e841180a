import { expect, test } from "vitest";
import type { Wake } from "../kinds/kind.ts";
import { type Waiter, Waits } from "./waits.ts";

function waiter(path: string, woken: string[], untilMs = Number.POSITIVE_INFINITY): Waiter {
  return {
    path,
    wait: { kind: "signal", reason: "It waits." },
    sinceMs: 0,
    untilMs,
    owner: woken,
    wake: (wake: Wake, seq) => void woken.push(`${path} ${wake.kind} ${seq}`),
  };
}

test("the whole inbox may be given again and again: each arrival counts once", () => {
  const waits = new Waits();
  const woken: string[] = [];
  waits.add(waiter("a", woken), 0);
  const first = { seq: 1, node: "a", payload: 1, by: "" };
  waits.arrive([first]);
  waits.add(waiter("a", woken), 0);
  waits.arrive([first]);
  expect([woken, waits.size, waits.seen]).toEqual([["a arrival 1"], 1, 1]);
  waits.arrive([first, { seq: 2, node: "a", payload: 2, by: "" }]);
  expect(woken).toEqual(["a arrival 1", "a arrival 2"]);
});

test("several arrivals for one node are taken one by one, the oldest first", () => {
  const waits = new Waits();
  const woken: string[] = [];
  waits.arrive([1, 2].map((seq) => ({ seq, node: "a", payload: seq, by: "" })));
  waits.add(waiter("a", woken), 0);
  waits.add(waiter("a", woken), 0);
  waits.add(waiter("a", woken), 0);
  expect([woken, waits.size]).toEqual([["a arrival 1", "a arrival 2"], 1]);
});

test("only what is due goes on, and the soonest time is known again afterwards", () => {
  const waits = new Waits();
  const woken: string[] = [];
  for (const [path, untilMs] of [
    ["a", 10],
    ["b", 20],
    ["c", undefined],
  ] as const)
    waits.add(waiter(path, woken, untilMs), 0);
  expect([waits.soonestMs, waits.wakeDue(9)]).toEqual([10, false]);
  expect([waits.wakeDue(10), woken, waits.soonestMs]).toEqual([true, ["a time undefined"], 20]);
  expect(waits.list().map(({ node, untilMs }) => [node, untilMs])).toEqual([
    ["b", 20],
    ["c", undefined],
  ]);
});
