import { randomBytes } from "node:crypto";
import { bellSubject, type Json, type Live, type LiveSubscription, partitionOf, type Task, type TaskKey } from "@longhaul/core";

/**
 * Tells watchers that a task changed. A bell carries no data: who hears it reads the store. Bells of one event-loop turn travel together,
 * so that a task that nobody watches costs next to nothing.
 */
export interface Bells {
  /** Rings after a visible change. */
  changed(task: Task, before: Task | undefined): void;
  /** Calls back after each change of a task, and after a gap in which one may have been missed. */
  listen(key: TaskKey, onRing: () => void): LiveSubscription;
}

/** Ids in one message; about 80 KiB. */
const maxIds = 2_000;

interface Hub {
  readonly subscription: LiveSubscription;
  readonly listeners: Map<string, Set<() => void>>;
}

export function bellsOver(live: Live): Bells {
  const from = randomBytes(9).toString("base64url");
  const hubs = new Map<number, Hub>();
  let rung = new Map<number, Set<string>>();

  function send(): void {
    const sent = rung;
    rung = new Map();
    for (const [partition, ids] of sent) {
      const all = [...ids];
      for (let at = 0; at < all.length; at += maxIds) {
        live.publish(bellSubject(partition), { from, ids: all.slice(at, at + maxIds) });
      }
      // Who listens here need not wait for the way there and back, nor for a broker that is away.
      const hub = hubs.get(partition);
      if (hub !== undefined) ring(hub.listeners, all);
    }
  }

  function ring(listeners: Hub["listeners"], ids: readonly string[]): void {
    for (const id of ids) for (const onRing of listeners.get(id) ?? []) onRing();
  }

  function hubOf(partition: number): Hub {
    const found = hubs.get(partition);
    if (found !== undefined) return found;
    const listeners = new Map<string, Set<() => void>>();
    const hear = (message: Json): void => ring(listeners, idsOf(message, from));
    const hub: Hub = { subscription: live.subscribe(bellSubject(partition), hear), listeners };
    hubs.set(partition, hub);
    return hub;
  }

  live.onGap(() => {
    for (const { listeners } of hubs.values()) for (const all of listeners.values()) for (const onRing of all) onRing();
  });

  return {
    changed(task, before) {
      if (
        before !== undefined &&
        before.version === task.version &&
        before.report === task.report &&
        before.attempt === task.attempt
      )
        return;
      if (rung.size === 0) setImmediate(send);
      const ids = rung.get(task.partition);
      if (ids === undefined) rung.set(task.partition, new Set([task.id]));
      else ids.add(task.id);
    },

    listen({ project, id }, onRing) {
      const partition = partitionOf(project);
      const hub = hubOf(partition);
      const all = hub.listeners.get(id) ?? new Set();
      hub.listeners.set(id, all);
      all.add(onRing);
      return {
        ready: hub.subscription.ready,
        close() {
          all.delete(onRing);
          if (all.size === 0) hub.listeners.delete(id);
          if (hub.listeners.size > 0 || hubs.get(partition) !== hub) return;
          hubs.delete(partition);
          hub.subscription.close();
        },
      };
    },
  };
}

/** The ids that somebody else rings for. */
function idsOf(message: Json, own: string): readonly string[] {
  if (message === null || typeof message !== "object" || !("ids" in message)) return [];
  const { from, ids } = message as { readonly from?: Json; readonly ids: Json };
  return from !== own && Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
}
