import type { Stored, TaskId } from "@longhaul/core";

/**
 * The tasks written or read last. This process is the only one on the file, and what a commit wrote is set before anybody is told,
 * so what is here is what is stored, as far as anybody knows. A task is read about twice for every time it is written; here that costs no statement.
 */
export interface TaskCache {
  get(id: TaskId): Stored | undefined;
  set(stored: Stored): void;
  forget(id: TaskId): void;
}

/** Keeps at most `maxTasks` tasks of together at most `maxBytes`, as `bytesOf` counts them; the least recently set go first. */
export function taskCache(maxTasks: number, maxBytes: number, bytesOf: (stored: Stored) => number): TaskCache {
  const kept = new Map<TaskId, { readonly stored: Stored; readonly bytes: number }>();
  let bytes = 0;

  function forget(id: TaskId): void {
    const entry = kept.get(id);
    if (!entry) return;
    kept.delete(id);
    bytes -= entry.bytes;
  }

  return {
    get: (id) => kept.get(id)?.stored,
    set: (stored) => {
      // A read may see a commit before it is told here: what it found must not be replaced by something older.
      if ((kept.get(stored.task.id)?.stored.rev ?? -1) > stored.rev) return;
      forget(stored.task.id);
      const entry = { stored, bytes: bytesOf(stored) };
      kept.set(stored.task.id, entry);
      bytes += entry.bytes;
      for (const id of kept.keys()) {
        if (kept.size <= maxTasks && bytes <= maxBytes) break;
        forget(id);
      }
    },
    forget,
  };
}
