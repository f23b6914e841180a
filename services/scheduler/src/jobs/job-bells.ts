import { randomBytes } from "node:crypto";
import { type Json, jobsSubject, type Live, type LiveSubscription, partitionOf } from "@longhaul/core";

/** Wakes polls and heartbeats that wait: of new work for a function, and of jobs that nobody waits for any more. A bell carries no data. */
export interface JobBells {
  /** There is a job of this function to take. */
  queued(project: string, name: string): void;
  /** These jobs are to be stopped. */
  ended(project: string, ids: readonly string[]): void;
  /** Begins to hear; the bell keeps in mind that it rang. */
  listen(project: string, what: { readonly functions?: readonly string[]; readonly jobs?: readonly string[] }): JobBell;
  /** Ends every wait, now and from now on: the process stops. */
  close(): void;
}

export interface JobBell {
  /** Resolves once every later ring is heard. */
  readonly ready: Promise<void>;
  /** Resolves when it rang since the last call, after `ms`, when `signal` aborts, and at once when the process stops. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  readonly closed: boolean;
  close(): void;
}

/** Names in one message. */
const maxNames = 1_000;

interface Hub {
  readonly subscription: LiveSubscription;
  readonly listeners: Map<string, Set<() => void>>;
}

export function jobBells(live: Live): JobBells {
  const from = randomBytes(9).toString("base64url");
  const hubs = new Map<number, Hub>();
  let isClosed = false;

  const ring = ({ listeners }: Hub, names: readonly string[]): void => {
    for (const name of names) for (const onRing of [...(listeners.get(name) ?? [])]) onRing();
  };
  const ringAll = (): void => {
    for (const { listeners } of hubs.values()) for (const all of listeners.values()) for (const onRing of [...all]) onRing();
  };

  function send(project: string, names: readonly string[]): void {
    const partition = partitionOf(project);
    for (let at = 0; at < names.length; at += maxNames)
      live.publish(jobsSubject(partition), { from, names: names.slice(at, at + maxNames) });
    // Who listens here need not wait for the way there and back, nor for a broker that is away.
    const hub = hubs.get(partition);
    if (hub !== undefined) ring(hub, names);
  }

  function hubOf(partition: number): Hub {
    const found = hubs.get(partition);
    if (found !== undefined) return found;
    const listeners: Hub["listeners"] = new Map();
    const subscription = live.subscribe(jobsSubject(partition), (message) => {
      const known = hubs.get(partition);
      if (known !== undefined) ring(known, namesIn(message, from));
    });
    const hub = { subscription, listeners };
    hubs.set(partition, hub);
    return hub;
  }

  live.onGap(ringAll);

  return {
    queued: (project, name) => send(project, [functionKey(project, name)]),
    ended: (project, ids) => send(project, ids.map(jobKey)),
    listen(project, { functions = [], jobs = [] }) {
      const partition = partitionOf(project);
      const hub = hubOf(partition);
      const keys = [...functions.map((name) => functionKey(project, name)), ...jobs.map(jobKey)];
      let rung = false;
      let wake: (() => void) | undefined;
      const onRing = (): void => {
        rung = true;
        wake?.();
      };
      for (const key of keys) {
        const all = hub.listeners.get(key) ?? new Set();
        hub.listeners.set(key, all);
        all.add(onRing);
      }
      return {
        ready: hub.subscription.ready,
        get closed() {
          return isClosed;
        },
        async wait(ms, signal) {
          if (!rung && !isClosed && !signal.aborted && ms > 0) {
            await new Promise<void>((resolve) => {
              const done = (): void => {
                clearTimeout(timer);
                signal.removeEventListener("abort", done);
                wake = undefined;
                resolve();
              };
              const timer = setTimeout(done, ms);
              signal.addEventListener("abort", done, { once: true });
              wake = done;
            });
          }
          rung = false;
        },
        close() {
          for (const key of keys) {
            const all = hub.listeners.get(key);
            all?.delete(onRing);
            if (all?.size === 0) hub.listeners.delete(key);
          }
          if (hub.listeners.size > 0 || hubs.get(partition) !== hub) return;
          hubs.delete(partition);
          hub.subscription.close();
        },
      };
    },
    close() {
      isClosed = true;
      ringAll();
    },
  };
}

function functionKey(project: string, name: string): string {
  return `f/${project}/${name}`;
}
function jobKey(id: string): string {
  return `j/${id}`;
}

/** The names that somebody else rings for. */
function namesIn(message: Json, own: string): readonly string[] {
  if (message === null || typeof message !== "object" || !("names" in message)) return [];
  const { from, names } = message as { readonly from?: Json; readonly names: Json };
  return from !== own && Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
}
