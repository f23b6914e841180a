import { expect, test } from "vitest";
import { type Defer, gatherCalls } from "./gather.ts";

/** A loop that turns by hand. */
function handLoop() {
  const soon: (() => void)[] = [];
  const later = new Set<() => void>();
  const defer: Defer = {
    soon: (run) => void soon.push(run),
    later: (_ms, run) => {
      later.add(run);
      return () => later.delete(run);
    },
  };
  const settle = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  return {
    defer,
    later,
    async turn() {
      for (const run of soon.splice(0)) run();
      await settle();
    },
    async runOut() {
      for (const run of [...later]) {
        later.delete(run);
        run();
      }
      await settle();
    },
  };
}

function handCall() {
  const calls: { items: number[]; answer: () => void; fail: (why: unknown) => void; answerWith: (out: string[]) => void }[] = [];
  const call = (items: number[]) =>
    new Promise<string[]>((resolve, reject) => {
      calls.push({ items, answer: () => resolve(items.map((i) => `r${i}`)), fail: reject, answerWith: resolve });
    });
  const at = (index: number) => {
    const one = calls[index];
    if (!one) throw new Error(`no call ${index}`);
    return one;
  };
  return { call, calls, at };
}

test("what arrives in one turn goes out as one call, and each caller gets its own result", async () => {
  const loop = handLoop();
  const { call, calls, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer });
  const all = [1, 2, 3].map(one);
  expect(calls).toHaveLength(0);
  await loop.turn();
  expect(calls.map((c) => c.items)).toEqual([[1, 2, 3]]);
  at(0).answer();
  expect(await Promise.all(all)).toEqual(["r1", "r2", "r3"]);
});

test("what arrives while a call is under way goes out with the next", async () => {
  const loop = handLoop();
  const { call, calls, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer });
  const first = [1, 2, 3, 4].map(one);
  await loop.turn();
  const more = [5, 6].map(one);
  await loop.turn();
  const last = one(7);
  await loop.turn();
  expect(calls).toHaveLength(1);
  at(0).answer();
  expect(await first[0]).toBe("r1");
  await loop.turn();
  expect(calls.map((c) => c.items)).toEqual([
    [1, 2, 3, 4],
    [5, 6, 7],
  ]);
  at(1).answer();
  expect(await Promise.all([...more, last])).toEqual(["r5", "r6", "r7"]);
  expect(loop.later.size).toBe(0);
});

test("where calls are small nobody waits for company; after a crowd it takes some calls until it is so again", async () => {
  const loop = handLoop();
  const { call, calls, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer, maxUnderWay: 2 });
  /** Whether a single item goes out beside the call before it, without waiting. Answers both. */
  const goesAtOnce = async (): Promise<boolean> => {
    const before = calls.length;
    void one(1);
    await loop.turn();
    void one(2);
    await loop.turn();
    const wasQuick = calls.length === before + 2;
    await loop.runOut();
    at(before).answer();
    at(before + 1).answer();
    await loop.turn();
    return wasQuick;
  };
  expect(await goesAtOnce()).toBe(true);
  for (let n = 0; n < 10; n++) void one(n);
  await loop.turn();
  at(2).answer();
  await loop.turn();
  // Ten, and a quarter less with each call.
  expect([await goesAtOnce(), await goesAtOnce(), await goesAtOnce()]).toEqual([false, false, false]);
  expect([await goesAtOnce(), await goesAtOnce()]).toEqual([true, true]);
});

test("an item can count for many", async () => {
  const loop = handLoop();
  const { call, calls, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer, maxItems: 10, maxUnderWay: 2, countOf: (n) => n });
  for (const n of [4, 6, 1, 20]) void one(n);
  await loop.turn();
  // The third alone is no crowd of ten.
  expect(calls.map((c) => c.items)).toEqual([[4, 6], [1]]);
  at(0).answer();
  await loop.turn();
  await loop.turn();
  expect(at(2).items).toEqual([20]);
});

test("a stuck call holds nobody back for longer than the patience", async () => {
  const loop = handLoop();
  const { call, calls, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer });
  void one(1);
  void one(2);
  await loop.turn();
  const second = one(3);
  await loop.turn();
  expect(calls).toHaveLength(1);
  await loop.runOut();
  expect(calls.map((c) => c.items)).toEqual([[1, 2], [3]]);
  at(1).answer();
  expect(await second).toBe("r3");
});

test("another call starts at once when enough items wait, up to the number allowed under way", async () => {
  const loop = handLoop();
  const { call, calls, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer, minWhileBusy: 2, maxItems: 2, maxUnderWay: 2 });
  const all = [1, 2, 3, 4, 5, 6].map(one);
  await loop.turn();
  expect(calls.map((c) => c.items)).toEqual([
    [1, 2],
    [3, 4],
  ]);
  at(1).answer();
  await loop.turn();
  await loop.turn();
  expect(calls.map((c) => c.items)).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  at(0).answer();
  at(2).answer();
  expect(await Promise.all(all)).toEqual(["r1", "r2", "r3", "r4", "r5", "r6"]);
});

test("a call stays within its bytes, and an item larger than that goes alone", async () => {
  const loop = handLoop();
  const { call, calls } = handCall();
  const one = gatherCalls(call, { defer: loop.defer, maxBytes: 10, sizeOf: (n) => n, maxUnderWay: 9, minWhileBusy: 1 });
  for (const n of [4, 5, 3, 50, 2]) void one(n);
  await loop.turn();
  expect(calls.map((c) => c.items)).toEqual([[4, 5], [3], [50], [2]]);
});

test("a rejected call rejects its own items only", async () => {
  const loop = handLoop();
  const { call, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer });
  const first = Promise.allSettled([one(1), one(2)]);
  await loop.turn();
  const second = one(3);
  at(0).fail(new Error("down"));
  expect((await first).map((r) => (r.status === "rejected" ? r.reason.message : "kept"))).toEqual(["down", "down"]);
  await loop.turn();
  at(1).answer();
  expect(await second).toBe("r3");
});

test("a call that throws instead of rejecting counts as rejected", async () => {
  const one = gatherCalls<number, string>(() => {
    throw new Error("thrown");
  });
  await expect(one(1)).rejects.toThrow("thrown");
  await expect(one(2)).rejects.toThrow("thrown");
});

test("an answer with the wrong number of results is an internal error for every item", async () => {
  const loop = handLoop();
  const { call, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer });
  const both = Promise.allSettled([one(1), one(2)]);
  await loop.turn();
  at(0).answerWith(["r1"]);
  for (const result of await both) expect(result).toMatchObject({ status: "rejected", reason: { code: "internal" } });
});

test("beyond its budget it refuses with unavailable and a time to try again, and takes items again once answered", async () => {
  const loop = handLoop();
  const { call, at } = handCall();
  const one = gatherCalls(call, { defer: loop.defer, sizeOf: (n) => n, maxHeldBytes: 100, retryAfterMs: 250 });
  const first = one(90);
  await expect(one(11)).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 250 });
  await loop.turn();
  await expect(one(11)).rejects.toMatchObject({ code: "unavailable" });
  at(0).answer();
  await first;
  const again = one(100);
  await loop.turn();
  at(1).answer();
  expect(await again).toBe("r100");
});

test("the number of items held is bounded too", async () => {
  const loop = handLoop();
  const { call } = handCall();
  const one = gatherCalls(call, { defer: loop.defer, maxHeldItems: 2 });
  void one(1);
  void one(2);
  await expect(one(3)).rejects.toMatchObject({ code: "unavailable" });
});

test("thousands of items keep their order and are all answered", async () => {
  const seen: number[] = [];
  const one = gatherCalls<number, number>(
    async (items) => {
      seen.push(...items);
      return items.map((n) => n * 2);
    },
    { maxItems: 100, maxUnderWay: 1 },
  );
  const count = 5_000;
  const results = await Promise.all(Array.from({ length: count }, (_, n) => one(n)));
  expect(results.every((r, n) => r === n * 2)).toBe(true);
  expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
});
