import type { Endpoint, StoredDelivery } from "@longhaul/core";
import { circuitState } from "../endpoint/circuit.ts";

/** A delivery in memory, waiting for its turn or under way. */
export interface Held {
  readonly stored: StoredDelivery;
  /** Until when it is leased to this notifier; 0 when it is not, so that it must be claimed before it is sent. */
  readonly leasedUntil: number;
}

/**
 * How far an endpoint is trusted, which decides whose slots it uses: `fresh` was never tried, `proven` answers quickly, `doubtful` fails
 * or is slow. Each class has slots of its own, so that doubtful endpoints, however many, never delay proven ones.
 */
export type Trust = "fresh" | "proven" | "doubtful";

/** The messages of one endpoint on their way through this process. */
export interface Lane {
  readonly endpoint: string;
  readonly project: string;
  health: Endpoint;
  /** False until the stored health has been read; nothing is sent before. */
  isLoaded: boolean;
  /** Grows with every answer, back to 1 with a failure. */
  slots: number;
  wasTried: boolean;
  isSlow: boolean;
  readonly waiting: Held[];
  underWay: number;
  /** In which queue it stands for its next send. */
  queuedAs: Trust | undefined;
  /** The store may hold more that is due. */
  mayHaveMore: boolean;
}

/** Most sends side by side to one endpoint. */
export const laneSlots = 8;
const slowLaneSlots = 4;

/** An answer that took longer makes a lane slow. */
export const slowMs = 2_000;

export function newLane(endpoint: string, project: string): Lane {
  return {
    endpoint,
    project,
    health: { endpoint, consecutiveFailures: 0 },
    isLoaded: false,
    slots: 1,
    wasTried: false,
    isSlow: false,
    waiting: [],
    underWay: 0,
    queuedAs: undefined,
    mayHaveMore: false,
  };
}

export function trustOf(lane: Lane): Trust {
  if (lane.health.consecutiveFailures > 0 || lane.isSlow) return "doubtful";
  return lane.wasTried ? "proven" : "fresh";
}

/** How many sends the lane may have under way. */
export function slotsOf(lane: Lane, now: number): number {
  if (!lane.isLoaded) return 0;
  switch (circuitState(lane.health, now)) {
    case "open":
      return 0;
    case "half-open":
      return 1;
    case "closed":
      if (lane.health.consecutiveFailures > 0) return 1;
      return lane.isSlow ? Math.min(slowLaneSlots, lane.slots) : lane.slots;
  }
}

/** How many messages the lane may keep waiting in memory; the rest waits in the store. */
export function waitingRoom(lane: Lane, now: number): number {
  if (circuitState(lane.health, now) !== "closed") return 1;
  return trustOf(lane) === "proven" ? 128 : 8;
}
