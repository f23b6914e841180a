import { type Json, type Live, type LiveSubscription, workersSubject } from "@longhaul/core";

/** Which functions workers have asked for lately, here or at another scheduler. */
export interface SeenFunctions {
  /** A worker asks for this function. */
  note(project: string, name: string): void;
  /** Whether one did within the last minute; true as well where this process can't know yet. */
  isServed(project: string, name: string): boolean;
  start(): void;
  stop(): void;
}

/** A function that nobody asked for in this time is taken to be served by nobody. */
const memoryMs = 60_000;
/** The others are told of a function this often; a poll that waits asks again within it. */
export const tellMs = 15_000;

export function seenFunctions(live: Live, now: () => number): SeenFunctions {
  const seenAt = new Map<string, number>();
  const toldAt = new Map<string, number>();
  let startedAt = Number.POSITIVE_INFINITY;
  let subscription: LiveSubscription | undefined;
  let prunedAt = 0;

  function remember(key: string): void {
    const at = now();
    seenAt.set(key, at);
    if (at - prunedAt < memoryMs) return;
    prunedAt = at;
    for (const [known, when] of seenAt) if (at - when > memoryMs) seenAt.delete(known);
    for (const [known, when] of toldAt) if (at - when > memoryMs) toldAt.delete(known);
  }

  return {
    note(project, name) {
      const key = keyOf(project, name);
      remember(key);
      if (now() - (toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < tellMs) return;
      toldAt.set(key, now());
      live.publish(workersSubject, { project, function: name });
    },
    isServed(project, name) {
      if (now() - startedAt < memoryMs || startedAt === Number.POSITIVE_INFINITY) return true;
      const at = seenAt.get(keyOf(project, name));
      return at !== undefined && now() - at <= memoryMs;
    },
    start() {
      startedAt = now();
      subscription = live.subscribe(workersSubject, (message) => {
        const key = keyIn(message);
        if (key !== undefined) remember(key);
      });
    },
    stop() {
      subscription?.close();
    },
  };
}

function keyOf(project: string, name: string): string {
  return `${project}/${name}`;
}

function keyIn(message: Json): string | undefined {
  if (message === null || typeof message !== "object" || !("project" in message) || !("function" in message)) return undefined;
  const { project, function: name } = message as { readonly project: Json; readonly function: Json };
  return typeof project === "string" && typeof name === "string" ? keyOf(project, name) : undefined;
}
