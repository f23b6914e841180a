import type { Delivery, DeliveryStore, Endpoint, StoredDelivery } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import { afterFailure, afterSign, circuitState } from "../endpoint/circuit.ts";
import { projectOfEndpoint } from "../endpoint/endpoint-of.ts";
import type { Sign } from "../message/attempt.ts";
import { type Held, type Lane, laneSlots, newLane, slotsOf, slowMs, type Trust, trustOf, waitingRoom } from "./lane.ts";
import { rotation } from "./rotation.ts";

/** What a send learnt about its endpoint. */
export interface Learnt {
  readonly sign: Sign;
  readonly latencyMs: number;
  readonly retryAfterMs: number;
}

/** How an endpoint stands for whoever looks for due deliveries. */
export type LaneView =
  | { readonly kind: "paused"; readonly until: number }
  /** `room` more may be offered; `waiting` are in memory already and may be due in the store as well. */
  | { readonly kind: "open"; readonly room: number; readonly waiting: number };

export interface LaneLimits {
  /** Sends side by side in the whole process. */
  readonly maxSends: number;
  /** Messages in memory, waiting or under way. */
  readonly maxHeldItems: number;
  /** Bytes of their bodies. */
  readonly maxHeldBytes: number;
  /** Endpoints remembered. */
  readonly maxLanes: number;
  /** Answers that wait to be recorded; beyond it nothing more is sent. */
  readonly maxSettling: number;
}

export const laneLimits: LaneLimits = {
  maxSends: 2_048,
  maxHeldItems: 8_192,
  maxHeldBytes: 67_108_864,
  maxLanes: 10_000,
  maxSettling: 1_024,
};

/** Share of `maxSends` that each class of endpoints has to itself. */
const shares: Readonly<Record<Trust, number>> = { proven: 1 / 4, fresh: 5 / 8, doubtful: 1 / 8 };
/** Share of a class that one project may use. */
const projectShare = 4 / 5;
const classes = ["proven", "fresh", "doubtful"] as const;

export interface LanesDeps {
  readonly store: DeliveryStore;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
  readonly limits?: LaneLimits;
  /** Sends and records; calls `answered` once, as soon as the receiver is done. Never rejects. */
  readonly carryOut: (held: Held, answered: (learnt: Learnt) => Endpoint) => Promise<void>;
  /** Holds messages back in the store until the circuit may close. Never rejects. */
  readonly pauseAll: (items: readonly StoredDelivery[], until: number) => Promise<void>;
  /** There is room again in a lane for which the store may hold more. */
  readonly onRoom: (endpoint: string) => void;
  /** A lane has nothing left in memory. */
  readonly onSettled: () => void;
}

/** Who may send when: lanes per endpoint, in fair turns, within bounds of sends and memory. */
export interface Lanes {
  /** Takes room for a message that is not stored yet: true when it may wait here. Then `fill` or `release` must follow. */
  reserve(delivery: Delivery): boolean;
  fill(held: Held): void;
  release(delivery: Delivery): void;
  /** Takes a due message from the store; false when there is no room or it is here already. */
  offer(stored: StoredDelivery): boolean;
  /** Until when the endpoint is paused, as far as this process knows without asking the store. */
  pausedUntil(endpoint: string): number | undefined;
  /** How the endpoint stands; reads its stored health where that may be news. */
  view(endpoint: string): Promise<LaneView>;
  /** Says whether the store holds more that is due than was offered. */
  noteMore(endpoint: string, mayHaveMore: boolean): void;
  /** Sends nothing more, and gives back what waited. */
  close(): readonly Held[];
  /** Resolves, with whether it had to wait, when nothing is under way. */
  idle(): Promise<boolean>;
  counts(): { readonly lanes: number; readonly held: number; readonly heldBytes: number; readonly sending: number };
}

export function lanes(deps: LanesDeps): Lanes {
  const { store, now, log } = deps;
  const limits = deps.limits ?? laneLimits;
  const all = new Map<string, Lane>();
  const heldBytesOf = new Map<string, number>();
  const queues = { fresh: rotation<Lane>(), proven: rotation<Lane>(), doubtful: rotation<Lane>() };
  const sending = { fresh: 0, proven: 0, doubtful: 0 };
  const sendingOf = new Map<string, number>();
  const work = new Set<Promise<void>>();
  let heldBytes = 0;
  let settling = 0;
  let isClosed = false;
  let isPumping = false;

  const track = (promise: Promise<void>): void => {
    work.add(promise);
    void promise.finally(() => work.delete(promise));
  };

  function laneOf(endpoint: string): Lane | undefined {
    const known = all.get(endpoint);
    if (known) {
      // The Map's order is that of last use: the first ones are the first to be forgotten.
      all.delete(endpoint);
      all.set(endpoint, known);
      return known;
    }
    if (all.size >= limits.maxLanes && !forgetIdle()) return undefined;
    const lane = newLane(endpoint, projectOfEndpoint(endpoint));
    all.set(endpoint, lane);
    track(load(lane));
    return lane;
  }

  function forgetIdle(): boolean {
    for (const [endpoint, lane] of all) {
      // `fresh` reservations show in no list, but hold bytes; a lane is kept while it waits for any of them.
      if (lane.waiting.length > 0 || lane.underWay > 0 || lane.queuedAs !== undefined || reservedOf(lane) > 0) continue;
      all.delete(endpoint);
      return true;
    }
    return false;
  }

  const reserved = new Map<string, number>();
  const reservedOf = (lane: Lane): number => reserved.get(lane.endpoint) ?? 0;
  function addReserved(endpoint: string, by: number): void {
    const left = (reserved.get(endpoint) ?? 0) + by;
    if (left > 0) reserved.set(endpoint, left);
    else reserved.delete(endpoint);
  }

  async function load(lane: Lane): Promise<void> {
    try {
      const stored = await store.getEndpoint(lane.endpoint);
      // An answer that came meanwhile is newer than what was stored.
      if (stored && !lane.wasTried) lane.health = stored;
    } catch (err) {
      log.warn({ endpoint: lane.endpoint, err }, "endpoint health not read; it counts as healthy");
    }
    lane.isLoaded = true;
    if (circuitState(lane.health, now()) === "open") pauseWaiting(lane);
    enqueue(lane);
    pump();
  }

  function hasRoom(lane: Lane, bytes: number): boolean {
    const waiting = lane.waiting.length + reservedOf(lane);
    if (waiting >= waitingRoom(lane, now())) return false;
    // An endpoint with nothing waiting always has room for one: otherwise many dead ones could lock it out of memory.
    if (waiting === 0) return true;
    const share = trustOf(lane) === "proven" ? 1 : 3 / 4;
    return heldBytesOf.size < limits.maxHeldItems * share && heldBytes + bytes <= limits.maxHeldBytes * share;
  }

  function hold(delivery: Delivery): boolean {
    if (isClosed || heldBytesOf.has(delivery.id)) return false;
    const lane = laneOf(delivery.endpoint);
    const bytes = Buffer.byteLength(delivery.body);
    if (!lane || (lane.isLoaded && circuitState(lane.health, now()) === "open") || !hasRoom(lane, bytes)) {
      if (lane) lane.mayHaveMore = true;
      return false;
    }
    heldBytesOf.set(delivery.id, bytes);
    heldBytes += bytes;
    return true;
  }

  function letGo(id: string): void {
    heldBytes -= heldBytesOf.get(id) ?? 0;
    heldBytesOf.delete(id);
  }

  function put(held: Held): void {
    const lane = all.get(held.stored.delivery.endpoint);
    if (!lane || isClosed) {
      letGo(held.stored.delivery.id);
      return;
    }
    lane.waiting.push(held);
    if (lane.isLoaded && circuitState(lane.health, now()) === "open") pauseWaiting(lane);
    enqueue(lane);
    pump();
  }

  function enqueue(lane: Lane): void {
    if (lane.queuedAs !== undefined || lane.waiting.length === 0 || lane.underWay >= slotsOf(lane, now())) return;
    lane.queuedAs = trustOf(lane);
    queues[lane.queuedAs].add(lane.project, lane);
  }

  function pump(): void {
    // Starting a send may come back here through `answered`; one loop at a time is enough.
    if (isPumping) return;
    isPumping = true;
    for (let started = true; started; ) {
      started = false;
      for (const trust of classes) {
        const cap = Math.max(1, Math.floor(limits.maxSends * shares[trust]));
        if (isClosed || settling >= limits.maxSettling || sending[trust] >= cap) continue;
        const perProject = Math.max(1, Math.floor(cap * projectShare));
        const lane = queues[trust].take((project) => (sendingOf.get(`${trust} ${project}`) ?? 0) < perProject);
        if (!lane) continue;
        started = true;
        lane.queuedAs = undefined;
        // It may have changed its class, or filled up, since it was queued.
        if (trustOf(lane) === trust && lane.underWay < slotsOf(lane, now())) start(lane, trust);
        enqueue(lane);
      }
    }
    isPumping = false;
  }

  function start(lane: Lane, trust: Trust): void {
    const held = lane.waiting.shift();
    if (!held) return;
    const group = `${trust} ${lane.project}`;
    lane.underWay++;
    sending[trust]++;
    sendingOf.set(group, (sendingOf.get(group) ?? 0) + 1);
    let isSending = true;
    const freeSlot = (): void => {
      if (!isSending) return;
      isSending = false;
      lane.underWay--;
      sending[trust]--;
      const left = (sendingOf.get(group) ?? 1) - 1;
      if (left > 0) sendingOf.set(group, left);
      else sendingOf.delete(group);
    };
    let isSettling = false;
    const answered = (learnt: Learnt): Endpoint => {
      isSettling = isSending;
      if (isSettling) settling++;
      freeSlot();
      learn(lane, learnt);
      enqueue(lane);
      pump();
      return lane.health;
    };
    track(
      deps.carryOut(held, answered).finally(() => {
        freeSlot();
        if (isSettling) settling--;
        letGo(held.stored.delivery.id);
        enqueue(lane);
        pump();
        if (lane.mayHaveMore && !isClosed && lane.waiting.length <= waitingRoom(lane, now()) / 4) {
          lane.mayHaveMore = false;
          deps.onRoom(lane.endpoint);
        } else if (lane.waiting.length === 0 && lane.underWay === 0) {
          deps.onSettled();
        }
      }),
    );
  }

  function learn(lane: Lane, { sign, latencyMs, retryAfterMs }: Learnt): void {
    if (sign === "none") return;
    const before = lane.health;
    lane.wasTried = true;
    if (sign === "alive") {
      lane.isSlow = latencyMs > slowMs;
      lane.slots = Math.min(laneSlots, before.consecutiveFailures > 0 ? 1 : lane.slots * 2);
      lane.health = afterSign(before);
    } else {
      lane.slots = 1;
      lane.health = afterFailure(before, now(), retryAfterMs);
    }
    if (lane.health.pausedUntil === before.pausedUntil) return;
    const isOpen = lane.health.pausedUntil !== undefined;
    log.info(
      { endpoint: lane.endpoint, failures: lane.health.consecutiveFailures, pausedUntil: lane.health.pausedUntil },
      isOpen ? "endpoint paused" : "endpoint resumed",
    );
    if (isOpen) pauseWaiting(lane);
    lane.mayHaveMore = true;
    keepHealth(lane);
  }

  const keeping = new Map<Lane, Promise<void>>();
  /** Stores the health of a lane, one write after the other, always the latest. */
  function keepHealth(lane: Lane): void {
    if (keeping.has(lane)) return;
    const keep = async (): Promise<void> => {
      let kept: Endpoint | undefined;
      while (kept !== lane.health) {
        kept = lane.health;
        try {
          await store.putEndpoint(kept);
        } catch (err) {
          log.warn({ endpoint: lane.endpoint, err }, "endpoint health not stored; it is learnt anew after a restart");
        }
      }
      keeping.delete(lane);
    };
    const kept = keep();
    keeping.set(lane, kept);
    track(kept);
  }

  function pauseWaiting(lane: Lane): void {
    const items = lane.waiting.splice(0);
    const until = lane.health.pausedUntil;
    if (items.length === 0 || until === undefined) return;
    const stored = items.map((held) => held.stored);
    track(
      deps.pauseAll(stored, until).finally(() => {
        for (const { delivery } of stored) letGo(delivery.id);
      }),
    );
  }

  return {
    reserve(delivery) {
      if (!hold(delivery)) return false;
      addReserved(delivery.endpoint, 1);
      return true;
    },
    fill(held) {
      addReserved(held.stored.delivery.endpoint, -1);
      put(held);
    },
    release(delivery) {
      addReserved(delivery.endpoint, -1);
      letGo(delivery.id);
    },
    offer(stored) {
      if (!hold(stored.delivery)) return false;
      put({ stored, leasedUntil: 0 });
      return true;
    },
    pausedUntil(endpoint) {
      const lane = all.get(endpoint);
      return lane?.isLoaded && circuitState(lane.health, now()) === "open" ? lane.health.pausedUntil : undefined;
    },
    async view(endpoint) {
      const lane = laneOf(endpoint);
      if (!lane) return { kind: "open", room: 0, waiting: 0 };
      // Another notifier may have seen the endpoint recover, or this one may have forgotten it.
      const isOpen = circuitState(lane.health, now()) === "open";
      if (isOpen || !lane.isLoaded) {
        const stored = await store.getEndpoint(endpoint);
        // What this process has learnt and is still storing is newer.
        if (stored && !keeping.has(lane) && circuitState(lane.health, now()) !== "half-open" && (isOpen || !lane.wasTried)) {
          lane.health = stored;
        }
        lane.isLoaded = true;
      }
      const state = circuitState(lane.health, now());
      if (state === "open" && lane.health.pausedUntil !== undefined) return { kind: "paused", until: lane.health.pausedUntil };
      const waiting = lane.waiting.length + reservedOf(lane);
      const inUse = state === "half-open" ? waiting + lane.underWay : waiting;
      return { kind: "open", room: Math.max(0, waitingRoom(lane, now()) - inUse), waiting };
    },
    noteMore(endpoint, mayHaveMore) {
      const lane = all.get(endpoint);
      if (lane) lane.mayHaveMore = mayHaveMore;
    },
    close() {
      isClosed = true;
      const left = [...all.values()].flatMap((lane) => lane.waiting.splice(0));
      for (const { stored } of left) letGo(stored.delivery.id);
      return left;
    },
    async idle() {
      if (work.size === 0) return false;
      while (work.size > 0) await Promise.all(work);
      return true;
    },
    counts: () => ({
      lanes: all.size,
      held: heldBytesOf.size,
      heldBytes,
      sending: sending.fresh + sending.proven + sending.doubtful,
    }),
  };
}
