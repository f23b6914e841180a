import { setTimeout as pause } from "node:timers/promises";

/**
 * Resolves with what `look` finds, once it finds something (neither undefined nor false). For what tells nobody when it has happened; everything
 * else is waited for by its own event.
 */
export async function until<T>(
  look: () => T | Promise<T>,
  withinMs = 30_000,
  what = "what was waited for",
): Promise<NonNullable<T>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > end) throw new Error(`${what} did not come about within ${withinMs} ms`);
    await pause(25);
  }
}
