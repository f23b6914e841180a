import { gatherCalls, LonghaulError } from "@longhaul/core";
import type { Fallible } from "./connection.ts";

const maxItems = 256;
const maxBytes = 1_048_576;
/** A command costs the server and us as much as several items of it, and a commit costs every writer. */
const minWhileBusy = 64;

/**
 * Gathers concurrent calls that each bring an array: arrays travel together, up to 256 items or 1 MiB, and a larger array goes in
 * several groups. An item counts at least 4 KiB, so that one limit stands for both. Rejects with the first item's error if any has one.
 */
export function gatherBatches<I, O>(
  call: (items: readonly I[]) => Promise<readonly Fallible<O>[]>,
  sizeOf: (item: I) => number,
): (items: readonly I[]) => Promise<readonly O[]> {
  const costOf = (item: I): number => Math.max(maxBytes / maxItems, sizeOf(item));
  const one = gatherCalls<readonly I[], readonly Fallible<O>[]>(
    async (batches) => {
      const [first] = batches;
      if (batches.length === 1 && first) return [await call(first)];
      const results = await call(batches.flat());
      let from = 0;
      return batches.map((batch) => {
        const mine = results.slice(from, from + batch.length);
        from += batch.length;
        return mine;
      });
    },
    {
      maxItems,
      maxBytes,
      minWhileBusy,
      countOf: (batch) => batch.length,
      sizeOf: (batch) => batch.reduce((sum, item) => sum + costOf(item), 0),
    },
  );
  return async (items) => {
    if (items.length === 0) return [];
    const batches = split(items, costOf);
    const [first] = batches;
    const results = batches.length === 1 && first ? await one(first) : (await Promise.all(batches.map(one))).flat();
    return results.map(orThrow);
  };
}

function orThrow<O>(result: Fallible<O>): O {
  if (result instanceof LonghaulError) throw result;
  return result;
}

function split<I>(items: readonly I[], costOf: (item: I) => number): readonly (readonly I[])[] {
  const batches: I[][] = [];
  let batch: I[] = [];
  let bytes = 0;
  for (const item of items) {
    const cost = costOf(item);
    if (batch.length > 0 && bytes + cost > maxBytes) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += cost;
  }
  batches.push(batch);
  return batches;
}
