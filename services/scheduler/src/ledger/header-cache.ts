import type { Stored } from "@longhaul/core";

/** Headers that this process wrote or read lately, so that the steps of a task need no read each. Bounded; never the last word. */
export interface HeaderCache {
  get(id: string): Stored | undefined;
  put(stored: Stored): void;
  drop(id: string): void;
}

/**
 * Least recently used headers go first. Bounded by count and by the bytes of the values inside, so that memory does not
 * grow with the number of tasks; and by age, because a task may expire and its idempotency key make another one of the same id and
 * revision: a header that old must not be taken for the new one's. `now` is in milliseconds.
 */
export function headerCache(
  maxEntries: number,
  maxBytes: number,
  maxAgeMs: number = Number.POSITIVE_INFINITY,
  now: () => number = Date.now,
): HeaderCache {
  const entries = new Map<string, { readonly stored: Stored; readonly bytes: number; readonly time: number }>();
  let held = 0;

  const drop = (id: string): void => {
    const found = entries.get(id);
    if (found === undefined) return;
    held -= found.bytes;
    entries.delete(id);
  };

  return {
    get(id) {
      const found = entries.get(id);
      if (found === undefined) return undefined;
      if (now() - found.time > maxAgeMs) {
        drop(id);
        return undefined;
      }
      entries.delete(id);
      entries.set(id, found);
      return found.stored;
    },
    put(stored) {
      const { task } = stored;
      drop(task.id);
      const bytes = 1_024 + (task.input.kind === "inline" ? task.input.json.length : 0) + task.text.length;
      entries.set(task.id, { stored, bytes, time: now() });
      held += bytes;
      for (const id of entries.keys()) {
        if (entries.size <= maxEntries && held <= maxBytes) break;
        drop(id);
      }
    },
    drop,
  };
}
