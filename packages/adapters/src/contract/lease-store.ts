import type { LeaseStore } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { startOfTime as t0 } from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

/** What every LeaseStore must do. `open` gives a fresh, empty store for each test. */
export function testLeaseStore(name: string, open: Open<LeaseStore>): void {
  describe(`${name} as a LeaseStore`, () => {
    const leasesOf = async (store: LeaseStore) => [...(await store.list(t0)).leases].sort((a, b) => a.partition - b.partition);

    test("at first there are no leases and nobody lives", () =>
      withStore(open, async (store) => {
        expect(await store.list(t0)).toEqual({ leases: [], owners: [] });
      }));

    test("an owner lives until the time it named last", () =>
      withStore(open, async (store) => {
        await store.renew("a", t0 + 5_000);
        await store.renew("b", t0 + 9_000);
        expect([...(await store.list(t0)).owners].sort()).toEqual(["a", "b"]);
        expect((await store.list(t0 + 6_000)).owners).toEqual(["b"]);
        await store.renew("a", t0 + 20_000);
        expect((await store.list(t0 + 10_000)).owners).toEqual(["a"]);
        expect((await store.list(t0 + 21_000)).owners).toEqual([]);
      }));

    test("a partition that was never taken is taken with epoch 0 and then has epoch 1", () =>
      withStore(open, async (store) => {
        expect(await store.take(3, "a", 1, t0 + 5)).toBe(false);
        expect(await store.take(3, "a", 0, t0 + 5_000)).toBe(true);
        expect(await leasesOf(store)).toEqual([{ partition: 3, owner: "a", epoch: 1, until: t0 + 5_000 }]);
        expect(await store.take(3, "b", 0, t0 + 9_000)).toBe(false);
      }));

    test("whoever knows the epoch takes the partition, and the epoch rises", () =>
      withStore(open, async (store) => {
        await store.take(3, "a", 0, t0 + 5_000);
        expect(await store.take(3, "b", 1, t0 + 9_000)).toBe(true);
        expect(await store.take(3, "c", 1, t0 + 9_000)).toBe(false);
        expect(await leasesOf(store)).toEqual([{ partition: 3, owner: "b", epoch: 2, until: t0 + 9_000 }]);
      }));

    test("of many that take one partition at once, one has it", () =>
      withStore(open, async (store) => {
        for (const epoch of [0, 1]) {
          const answers = await Promise.all(Array.from({ length: 30 }, (_, at) => store.take(9, `o${at}`, epoch, t0 + 1)));
          expect(answers.filter((taken) => taken)).toHaveLength(1);
          expect(await leasesOf(store)).toEqual([
            { partition: 9, owner: `o${answers.indexOf(true)}`, epoch: epoch + 1, until: t0 + 1 },
          ]);
        }
      }));

    test("renewing extends the leases that are still held, and no others", () =>
      withStore(open, async (store) => {
        await store.take(1, "a", 0, t0 + 1);
        await store.take(2, "a", 0, t0 + 1);
        await store.take(2, "b", 1, t0 + 2);
        await store.renew("a", t0 + 50);
        expect((await leasesOf(store)).map((lease) => [lease.owner, lease.epoch, lease.until])).toEqual([
          ["a", 1, t0 + 50],
          ["b", 2, t0 + 2],
        ]);
      }));

    test("a lease that ran out is still listed", () =>
      withStore(open, async (store) => {
        await store.take(1, "a", 0, t0 - 1_000);
        expect((await store.list(t0)).leases).toHaveLength(1);
      }));

    test("a partition that was given up has run out, and its owner can't revive it by renewing", () =>
      withStore(open, async (store) => {
        await store.renew("a", t0 + 5_000);
        await store.take(1, "a", 0, t0 + 5_000);
        await store.take(2, "a", 0, t0 + 5_000);
        await store.give("a", [1]);
        const [given, kept] = await leasesOf(store);
        expect(given?.epoch).toBeGreaterThanOrEqual(1);
        expect(given?.until).toBeLessThanOrEqual(t0);
        expect(kept).toEqual({ partition: 2, owner: "a", epoch: 1, until: t0 + 5_000 });
        await store.renew("a", t0 + 9_000);
        expect((await leasesOf(store)).map((lease) => lease.until <= t0)).toEqual([true, false]);
        expect((await store.list(t0)).owners).toEqual(["a"]);
        expect(await store.take(1, "b", given?.epoch ?? 0, t0 + 1)).toBe(true);
      }));

    test("what somebody else holds by now can't be given up", () =>
      withStore(open, async (store) => {
        await store.take(1, "a", 0, t0 + 5);
        await store.take(1, "b", 1, t0 + 9);
        await store.give("a", [1]);
        await store.give("a", "all");
        expect(await leasesOf(store)).toEqual([{ partition: 1, owner: "b", epoch: 2, until: t0 + 9 }]);
      }));

    test("who gives up everything leaves the list of the living", () =>
      withStore(open, async (store) => {
        await store.renew("a", t0 + 5_000);
        await store.renew("b", t0 + 5_000);
        for (const partition of [0, 1, 63]) await store.take(partition, "a", 0, t0 + 5_000);
        await store.give("a", "all");
        expect((await store.list(t0)).owners).toEqual(["b"]);
        expect((await leasesOf(store)).map((lease) => lease.until <= t0)).toEqual([true, true, true]);
      }));
  });
}
