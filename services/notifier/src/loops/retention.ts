import type { DeliveryStore } from "@longhaul/core";
import { type ExpirySweep, expirySweep, type Logger } from "@longhaul/shared";
import type { Clock } from "../clock.ts";

/** Removes deliveries that were kept long enough. Every notifier does; one that finds another at it comes back later. */
export function retention(deps: {
  readonly store: DeliveryStore;
  readonly retentionMs: number;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}): ExpirySweep {
  const { clock, ...rest } = deps;
  return expirySweep({ ...rest, what: "deliveries", later: clock.later });
}
