import { setTimeout as pause } from "node:timers/promises";
import type { Pool } from "undici";
import { awaitEnd, batchGet, endOfNode } from "./task-api.ts";

const batch = 250;

/** Resolves with how many wait: all of them as soon as they do, or those that do when the clock says `dueAt`. Rejects when one has failed. */
export async function untilAllWait(pool: Pool, ids: readonly string[], dueAt: number): Promise<number> {
  let open = ids;
  while (open.length > 0 && Date.now() < dueAt) {
    const left: string[] = [];
    for (let from = 0; from < open.length; from += batch) {
      for (const { id, state } of await batchGet(pool, open.slice(from, from + batch))) {
        if (state === "failed") throw new Error(`task ${id}, which should wait, has failed`);
        if (state !== "waiting") left.push(id);
      }
    }
    open = left;
    if (open.length > 0) await pause(100);
  }
  return ids.length - open.length;
}

const readers = 32;

/** How much later than its timer each node run ended: sorted milliseconds. Rejects when a task does not succeed, or a timer came early. */
export async function latenessOf(
  pool: Pool,
  timers: readonly { readonly id: string; readonly dueAt: number }[],
): Promise<Float64Array> {
  // Not asked for earlier, so that nothing is read while timers come due.
  const last = timers.at(-1);
  if (last !== undefined) await awaitEnd(pool, last.id);
  const late = new Float64Array(timers.length);
  let next = 0;
  const read = async (): Promise<void> => {
    for (let at = next++; at < timers.length; at = next++) {
      const timer = timers[at];
      if (timer === undefined) return;
      await awaitEnd(pool, timer.id);
      const ms = (await endOfNode(pool, timer.id, "timer")) - timer.dueAt;
      if (ms < 0) throw new Error(`the timer of task ${timer.id} came ${-ms} ms early`);
      late[at] = ms;
    }
  };
  await Promise.all(Array.from({ length: readers }, read));
  return late.sort();
}
