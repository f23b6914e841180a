import { expect, test } from "vitest";
import { ticketWindow } from "./ticket-window.ts";

function handWindow(size: number) {
  let now = 0;
  const asked: { partitions: readonly number[]; answer: (counts: [number, number][]) => void; fail: () => void }[] = [];
  const window = ticketWindow(
    size,
    (partitions) =>
      new Promise((resolve, reject) => {
        asked.push({ partitions, answer: (counts) => resolve(new Map(counts)), fail: () => reject(new Error("away")) });
      }),
    () => now,
  );
  const at = (index: number) => {
    const one = asked[index];
    if (!one) throw new Error(`no count ${index}`);
    return one;
  };
  const advance = (ms: number): void => {
    now += ms;
  };
  return { window, asked, at, advance };
}

test("what is reserved and published takes room, what was refused gives it back", () => {
  const { window } = handWindow(10);
  window.reserve(1, 6);
  expect([window.room(1), window.out(1), window.room(2)]).toEqual([4, 6, 10]);
  window.settle(1, 6, 2);
  expect([window.room(1), window.out(1)]).toEqual([8, 2]);
});

test("a count replaces what was known, but keeps what was published while it was under way", async () => {
  const { window, at } = handWindow(10);
  window.reserve(1, 5);
  window.settle(1, 5, 5);
  const refreshed = window.refresh([1]);
  window.reserve(1, 3);
  window.settle(1, 3, 2);
  window.reserve(1, 1);
  at(0).answer([[1, 4]]);
  await refreshed;
  expect(window.out(1)).toBe(4 + 2 + 1);
});

test("a recent count is not asked for again, and the more tickets it listed the longer it lasts", async () => {
  const { window, asked, at, advance } = handWindow(10_000);
  const first = window.refresh([1]);
  at(0).answer([[1, 1_000]]);
  await first;
  advance(20);
  await window.refresh([1]);
  expect(asked).toHaveLength(1);
  advance(10);
  const second = window.refresh([1]);
  expect(asked).toHaveLength(2);
  at(1).answer([]);
  await second;
  expect(window.out(1)).toBe(0);
  advance(5);
  void window.refresh([1]);
  expect(asked).toHaveLength(3);
});

test("those who ask while a count is under way wait for it, and count again only what it left out", async () => {
  const { window, asked, at } = handWindow(10);
  const all = [window.refresh([1]), window.refresh([1]), window.refresh([1, 2])];
  expect(asked).toHaveLength(1);
  at(0).answer([[1, 3]]);
  await Promise.all(all.slice(0, 2));
  expect(asked.map((one) => one.partitions)).toEqual([[1], [2]]);
  at(1).answer([[2, 7]]);
  await all[2];
  expect([window.out(1), window.out(2)]).toEqual([3, 7]);
});

test("a count that fails rejects for who asked for it and leaves the numbers as they were", async () => {
  const { window, asked, at } = handWindow(10);
  window.reserve(1, 2);
  const failed = window.refresh([1]);
  at(0).fail();
  await expect(failed).rejects.toThrow("away");
  expect(window.out(1)).toBe(2);
  void window.refresh([1]);
  expect(asked).toHaveLength(2);
});

test("a count asked for before the stream was lost says nothing about the new one", async () => {
  const { window, at } = handWindow(10);
  window.reserve(1, 4);
  window.settle(1, 4, 4);
  const counted = window.refresh([1]);
  window.reset();
  at(0).answer([[1, 9]]);
  await counted;
  expect(window.out(1)).toBe(0);
});
