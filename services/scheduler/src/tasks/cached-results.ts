import { randomUUID } from "node:crypto";
import { LonghaulError, partitionOf, type Resource, type ResourceKey, type ResourceStore } from "@longhaul/core";

/** Largest result that is kept, in bytes of JSON. */
const maxCachedBytes = 49_152;
const longestMs = 366 * 86_400_000;
const keyPattern = /^[0-9a-f]{64}$/;

function cacheKey(project: string, key: string): ResourceKey {
  if (!keyPattern.test(key)) throw new LonghaulError("invalid_argument", "The key is not 64 hex digits.");
  return { project, kind: "cache", name: key };
}

/** JSON text of a kept result whose time is not over. */
export async function readCached(
  deps: { readonly resources: Pick<ResourceStore, "get">; readonly now: () => number },
  project: string,
  key: string,
): Promise<string | undefined> {
  const [found] = await deps.resources.get([cacheKey(project, key)]);
  return found?.resource.wakeAt !== undefined && found.resource.wakeAt > deps.now() ? found.resource.json : undefined;
}

/** Keeps a result, given as JSON text, for `ttlMs`. Of two that come at the same time one stays: they are results of the same call. */
export async function writeCached(
  deps: { readonly resources: Pick<ResourceStore, "get" | "insert" | "replace">; readonly now: () => number },
  project: string,
  key: string,
  result: { readonly json: string; readonly ttlMs: number },
): Promise<void> {
  const { json, ttlMs } = result;
  if (Buffer.byteLength(json) > maxCachedBytes)
    throw new LonghaulError("too_large", `A kept result has at most ${maxCachedBytes} bytes.`);
  if (!(ttlMs > 0 && ttlMs <= longestMs)) throw new LonghaulError("invalid_argument", "A result is kept for up to 366 days.");
  const now = deps.now();
  const next: Resource = {
    ...cacheKey(project, key),
    partition: partitionOf(project),
    uid: randomUUID(),
    createTime: now,
    updateTime: now,
    json,
    wakeAt: now + ttlMs,
  };
  if ((await deps.resources.insert(next)) === "inserted") return;
  const [found] = await deps.resources.get([next]);
  if (found !== undefined) await deps.resources.replace(next, found.rev);
}
