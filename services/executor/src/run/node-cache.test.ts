import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  ExecutionService,
  ExecutionServiceReadCacheResponseSchema,
  ExecutionServiceWriteCacheResponseSchema,
} from "@longhaul/proto/execution_service";
import { directClient } from "@longhaul/shared";
import { expect, test } from "vitest";
import { claimed } from "../testing/harness.ts";
import { inboxOf } from "./inbox.ts";
import { nodeCache } from "./node-cache.ts";

test("results of up to 48 KiB are kept and come back as they were", async () => {
  const kept = new Map<string, Uint8Array>();
  const ttls: number[] = [];
  const cache = nodeCache(
    directClient(ExecutionService, {
      readCache: async ({ key }) => {
        const valueJson = kept.get(key);
        return create(ExecutionServiceReadCacheResponseSchema, valueJson === undefined ? {} : { valueJson });
      },
      async writeCache({ key, valueJson, ttl }) {
        kept.set(key, valueJson);
        ttls.push(ttl === undefined ? 0 : durationMs(ttl));
        return create(ExecutionServiceWriteCacheResponseSchema);
      },
    }),
    "executor-1",
    {
      task: claimed("echo-1", 1),
      abort: new AbortController(),
      inbox: inboxOf(async () => null),
      leaseUntil: 1,
      provenAt: 0,
      clockAheadMs: 0,
      stopped: undefined,
    },
  );
  expect(await cache.cacheGet("a")).toBeUndefined();
  await cache.cachePut("a", { n: [1, null, "ü"] }, 60_000);
  await cache.cachePut("null", null, 1);
  expect([await cache.cacheGet("a"), await cache.cacheGet("null")]).toEqual([{ n: [1, null, "ü"] }, null]);
  await cache.cachePut("large", "x".repeat(49_150), 1);
  await cache.cachePut("too large", "x".repeat(49_151), 1);
  expect([...kept.keys()]).toEqual(["a", "null", "large"]);
  expect(ttls).toEqual([60_000, 1, 1]);
});
