import type { Delivery, DeliveryStore, StoredDelivery } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import type { Clock } from "../clock.ts";

/** How one delivery stands, for the scheduler. */
export type Standing = Pick<Delivery, "project" | "taskId" | "event" | "state" | "sequence">;

export interface ReporterDeps {
  readonly store: DeliveryStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Hands standings to the scheduler; answers the ids of the tasks for which they are recorded. */
  readonly record: (standings: readonly Standing[]) => Promise<readonly string[]>;
}

/** Tells the scheduler how deliveries stand until it has confirmed it. */
export interface Reporter {
  start(): void;
  /** Stops; what is not confirmed stays so in the store and is reported after the next start. */
  stop(): void;
  /** A delivery changed its standing. */
  report(stored: StoredDelivery): void;
  /** Resolves, with whether it had to wait, when everything known here is confirmed or waits for another try. */
  idle(): Promise<boolean>;
}

const batch = 256;
/** Beyond this many what is to be reported is read from the store instead of being kept. */
const maxKept = 1_024;
const maxKeptBytes = 16_777_216;
const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** How often the store is asked for what a crash left unreported, here or in another notifier. */
const leftoversMs = 30_000;

export function reporter(deps: ReporterDeps): Reporter {
  const { store, clock, log } = deps;
  let kept: StoredDelivery[] = [];
  let keptBytes = 0;
  let hasLeftovers = true;
  let isRunning = false;
  let run: Promise<void> | undefined;
  let pauseMs = firstPauseMs;
  let stopTimer: (() => void) | undefined;

  function wakeAfter(ms: number): void {
    stopTimer?.();
    stopTimer = clock.later(ms, () => {
      stopTimer = undefined;
      hasLeftovers = true;
      wake();
    });
  }

  /** True while a failure's pause lasts; new changes wait for its end too. */
  let isResting = false;

  function wake(): void {
    if (!isRunning || run !== undefined || isResting) return;
    run = reportAll().finally(() => {
      run = undefined;
    });
  }

  async function reportAll(): Promise<void> {
    try {
      while (isRunning && (kept.length > 0 || hasLeftovers)) {
        const items = await nextBatch();
        if (items.length > 0) await reportBatch(items);
        pauseMs = firstPauseMs;
      }
      if (isRunning) wakeAfter(leftoversMs);
    } catch (err) {
      log.warn({ err, againMs: pauseMs }, "deliveries not reported; trying again");
      // The store keeps what is unreported, so nothing need be kept here meanwhile.
      kept = [];
      keptBytes = 0;
      isResting = true;
      stopTimer?.();
      stopTimer = clock.later(pauseMs, () => {
        stopTimer = undefined;
        isResting = false;
        hasLeftovers = true;
        wake();
      });
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  }

  async function nextBatch(): Promise<readonly StoredDelivery[]> {
    if (kept.length > 0) {
      const items = kept.slice(0, batch);
      kept = kept.slice(batch);
      keptBytes = kept.length === 0 ? 0 : keptBytes - items.reduce((sum, { delivery }) => sum + delivery.body.length, 0);
      return items;
    }
    const items = await store.listUnreported(batch);
    if (items.length < batch) hasLeftovers = false;
    return items;
  }

  async function reportBatch(items: readonly StoredDelivery[]): Promise<void> {
    const standings = items.map(({ delivery: { project, taskId, event, state, sequence } }) => ({
      project,
      taskId,
      event,
      state,
      sequence,
    }));
    const recorded = new Set(await deps.record(standings));
    const confirmed = items.filter(({ delivery }) => recorded.has(delivery.taskId));
    await confirm(confirmed);
    // Otherwise a scheduler that confirms nothing would be asked without a pause.
    if (confirmed.length < items.length)
      throw new Error(`the scheduler confirmed ${confirmed.length} of ${items.length} deliveries`);
  }

  async function confirm(items: readonly StoredDelivery[]): Promise<void> {
    const results = await store.replace(items.map(({ delivery, rev }) => ({ next: { ...delivery, unreported: false }, rev })));
    // Most of these changed again and are reported with that change; a lease changes a delivery without being news.
    for (const [at, item] of items.entries()) if (results[at] === "stale") await confirmAgain(item.delivery);
  }

  async function confirmAgain({ project, id, sequence }: Delivery): Promise<void> {
    const found = await store.get(project, id);
    if (!found?.delivery.unreported || found.delivery.sequence !== sequence) return;
    const [result] = await store.replace([{ next: { ...found.delivery, unreported: false }, rev: found.rev }]);
    // Then it is a leftover, which the next look finds.
    if (result === "stale") log.debug({ deliveryId: id }, "delivery changed while its report was confirmed");
  }

  return {
    start() {
      isRunning = true;
      wake();
    },
    stop() {
      isRunning = false;
      stopTimer?.();
      stopTimer = undefined;
    },
    report(stored) {
      if (!stored.delivery.unreported) return;
      const bytes = stored.delivery.body.length;
      if (isResting || kept.length >= maxKept || keptBytes + bytes > maxKeptBytes) hasLeftovers = true;
      else {
        kept.push(stored);
        keptBytes += bytes;
      }
      wake();
    },
    async idle() {
      if (run === undefined) return false;
      while (run !== undefined) await run;
      return true;
    },
  };
}
