import { openSqlite } from "@longhaul/adapters/sqlite";
import { partitionOf } from "@longhaul/core";
import { silentLogger } from "@longhaul/shared";
import { expect, test } from "vitest";
import { readCached, writeCached } from "../tasks/cached-results.ts";
import { cacheExpiry } from "./cache-expiry.ts";

test("kept results whose time is over are removed, the others stay", async () => {
  const stores = openSqlite({ file: ":memory:" });
  const { resources } = stores;
  const clock = { ms: 1_000_000 };
  const now = () => clock.ms;
  const keyOf = (i: number) => i.toString(16).padStart(64, "0");
  for (let i = 0; i < 250; i++)
    await writeCached({ resources, now }, "acme", keyOf(i), { json: String(i), ttlMs: i < 240 ? 1_000 + i : 900_000 });
  clock.ms += 10_000;
  expect(await readCached({ resources, now }, "acme", keyOf(0))).toBeUndefined();
  expect(await readCached({ resources, now }, "acme", keyOf(249))).toBe("249");
  const expiry = cacheExpiry({ resources, now, log: silentLogger });
  expiry.own(new Set([partitionOf("acme")]));
  expiry.start();
  await expect.poll(async () => (await resources.list("acme", "cache", 500)).length, { timeout: 10_000 }).toBe(10);
  expect(await resources.nextDue("cache", [partitionOf("acme")])).toBe(1_900_000);
  await expiry.stop();
  stores.close();
});
