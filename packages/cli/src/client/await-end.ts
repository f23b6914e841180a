import type { World } from "../world.ts";
import type { Api } from "./api.ts";
import { type Json, textAt } from "./json.ts";
import { route } from "./route.ts";

const ended: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "timed_out"]);

export function hasEnded(task: Json): boolean {
  return ended.has(textAt(task, "state"));
}

/** What the server holds a long poll for at most here, in seconds. */
const pollSeconds = 30;

/** Waits by long polls until the task has ended, or `withinMs` are over; answers the task as it is then. */
export async function awaitEnd(world: World, api: Api, id: string, withinMs: number): Promise<Json> {
  const until = world.now() + withinMs;
  for (;;) {
    const leftMs = until - world.now();
    const wait = Math.max(1, Math.min(pollSeconds, Math.ceil(leftMs / 1_000)));
    const headers = leftMs > 0 ? { prefer: `wait=${wait}` } : undefined;
    // A server that restarts is waited for, about a minute.
    const task = await api.call("GET", route`/v1/tasks/${id}`, { tries: 10, ...(headers && { headers }) });
    if (hasEnded(task) || leftMs <= 0) return task;
  }
}
