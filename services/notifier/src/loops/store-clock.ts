import type { DeliveryStore } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import type { Clock } from "../clock.ts";

/** The database's clock, which all notifiers share: leases of one that runs fast or slow would be worth nothing otherwise. */
export interface StoreClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Measures once, then every minute. */
  start(): Promise<void>;
  stop(): void;
}

const measureEveryMs = 60_000;

export function storeClock(deps: { readonly store: DeliveryStore; readonly clock: Clock; readonly log: Logger }): StoreClock {
  const { store, clock, log } = deps;
  let aheadMs = 0;
  let isRunning = false;
  let stopTimer: (() => void) | undefined;

  async function measure(): Promise<void> {
    try {
      const asked = clock.now();
      const theirs = await store.now();
      aheadMs = Math.round(theirs - (asked + clock.now()) / 2);
    } catch (err) {
      log.warn({ err }, "the database's clock was not read; the last measurement stays");
    }
    if (isRunning) stopTimer = clock.later(measureEveryMs, () => void measure());
  }

  return {
    now: () => clock.now() + aheadMs,
    start() {
      isRunning = true;
      return measure();
    },
    stop() {
      isRunning = false;
      stopTimer?.();
    },
  };
}
