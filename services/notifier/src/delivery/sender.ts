import { setMaxListeners } from "node:events";
import {
  type Delivery,
  type DeliveryStore,
  LonghaulError,
  type Outbound,
  type RetryRule,
  type StoredDelivery,
} from "@longhaul/core";
import { aborted, type Logger } from "@longhaul/shared";
import type { Clock } from "../clock.ts";
import { type LaneLimits, lanes } from "../lanes/lanes.ts";
import { sweeper } from "../loops/sweeper.ts";
import { attempt } from "../message/attempt.ts";
import { leased, pause, replayed } from "./after-attempt.ts";
import { deliver, pauseAll } from "./deliver.ts";

export interface SenderDeps {
  readonly store: DeliveryStore;
  readonly outbound: Outbound;
  /** Opens sealed secrets and header values. */
  readonly open: (sealed: string) => string;
  readonly clock: Clock;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  readonly log: Logger;
  readonly rule: RetryRule;
  readonly timeoutMs: number;
  readonly sweepMs: number;
  readonly limits?: LaneLimits;
  /** A delivery changed its standing. */
  readonly report: (stored: StoredDelivery) => void;
}

/** Takes deliveries over and sends them until each is delivered or exhausted. */
export interface Sender {
  /** Durably stored when it resolves; sending begins at once. Rejects with `unavailable`; then nothing is known of any of them. */
  takeOver(deliveries: readonly Delivery[]): Promise<void>;
  /** Gives an ended delivery another round. Rejects with `delivery_not_found`, or `conflict` while it has not ended. */
  replay(project: string, id: string): Promise<Delivery>;
  start(): void;
  /** Starts nothing more, hands back what waits, and resolves when what is under way has ended or `deadline` aborts. */
  drain(deadline: AbortSignal): Promise<void>;
  /** Gives up what is under way; it comes due again when its lease ends. */
  stop(): void;
  /** Resolves, with whether it had to wait, when nothing is under way. */
  idle(): Promise<boolean>;
  counts(): ReturnType<ReturnType<typeof lanes>["counts"]>;
}

/** How long a lease outlasts the attempt: the time to claim, record, and wait a moment in a lane. */
const leaseMarginMs = 5_000;
const replayTries = 5;

export function sender(deps: SenderDeps): Sender {
  const { store, clock, now, random, log, rule, timeoutMs, sweepMs } = deps;
  const abandon = new AbortController();
  // Every send listens to it; Node would take so many for a leak.
  setMaxListeners(0, abandon.signal);

  const onStored = (stored: StoredDelivery): void => {
    deps.report(stored);
    if (stored.delivery.nextAttemptTime !== undefined) due.expect(stored.delivery.nextAttemptTime);
  };
  const deliverDeps = {
    store,
    clock,
    now,
    random,
    log,
    rule,
    timeoutMs,
    marginMs: leaseMarginMs,
    attempt: (stored: StoredDelivery, signal: AbortSignal) =>
      attempt({ outbound: deps.outbound, open: deps.open, now, log, timeoutMs }, stored.delivery, signal),
    abandoned: abandon.signal,
    onStored,
  };
  const pauseInStore = async (items: readonly StoredDelivery[], until: number): Promise<void> => {
    try {
      await pauseAll(deliverDeps, items, until);
    } catch (err) {
      log.warn({ deliveries: items.length, err }, "deliveries not marked as paused; they stay due");
    }
  };
  const ways = lanes({
    store,
    now,
    log,
    ...(deps.limits && { limits: deps.limits }),
    carryOut: (held, answered) => deliver(deliverDeps, held, answered),
    pauseAll: pauseInStore,
    onRoom: (endpoint) => due.look(endpoint),
    onSettled: () => due.settled(),
  });
  const due = sweeper({
    store,
    clock,
    now,
    log,
    sweepMs,
    view: ways.view,
    offer: ways.offer,
    noteMore: ways.noteMore,
    pauseAll: pauseInStore,
  });

  /** Where a delivery goes: held back by its endpoint's circuit, into memory under a lease, or into the store, due at once. */
  function place(delivery: Delivery): { readonly delivery: Delivery; readonly leasedUntil: number } {
    const until = ways.pausedUntil(delivery.endpoint);
    if (until !== undefined) return { delivery: pause(delivery, until, now()), leasedUntil: 0 };
    if (!ways.reserve(delivery)) return { delivery, leasedUntil: 0 };
    const leasedUntil = now() + timeoutMs + leaseMarginMs;
    return { delivery: leased(delivery, leasedUntil), leasedUntil };
  }

  function settle(placed: ReturnType<typeof place>, rev: number | undefined): void {
    const { delivery, leasedUntil } = placed;
    if (rev === undefined) {
      if (leasedUntil > 0) ways.release(delivery);
      return;
    }
    const stored = { delivery, rev };
    onStored(stored);
    if (leasedUntil > 0) ways.fill({ stored, leasedUntil });
  }

  async function handBack(): Promise<void> {
    const leasedHere = ways.close().filter(({ leasedUntil }) => leasedUntil > 0);
    if (leasedHere.length === 0) return;
    try {
      await store.replace(leasedHere.map(({ stored: { delivery, rev } }) => ({ next: leased(delivery, now()), rev })));
    } catch (err) {
      log.warn({ deliveries: leasedHere.length, err }, "deliveries not handed back; they come due when their leases end");
    }
  }

  return {
    async takeOver(deliveries) {
      const placed = deliveries.map(place);
      let results: readonly ("inserted" | "exists")[];
      try {
        results = await store.insert(placed.map((one) => one.delivery));
      } catch (error) {
        for (const one of placed) settle(one, undefined);
        throw error;
      }
      // One that exists is sent by whoever took it over first.
      for (const [at, one] of placed.entries()) settle(one, results[at] === "inserted" ? 0 : undefined);
    },

    async replay(project, id) {
      for (let tries = 0; tries < replayTries; tries++) {
        const found = await store.get(project, id);
        if (!found) throw new LonghaulError("delivery_not_found", `There is no delivery ${id}.`);
        if (found.delivery.state === "pending" || found.delivery.state === "paused") {
          throw new LonghaulError(
            "conflict",
            `Delivery ${id} is ${found.delivery.state}: it is still being tried, and can be replayed once it has ended.`,
          );
        }
        const placed = place(replayed(found.delivery, now()));
        let rev: number | undefined;
        try {
          const [result] = await store.replace([{ next: placed.delivery, rev: found.rev }]);
          if (result === "replaced") rev = found.rev + 1;
        } finally {
          settle(placed, rev);
        }
        if (rev !== undefined) return placed.delivery;
      }
      throw new LonghaulError("conflict", `Delivery ${id} kept changing; try again.`);
    },

    start: () => due.start(),

    async drain(deadline) {
      due.stop();
      await handBack();
      await Promise.race([ways.idle(), aborted(deadline)]);
    },

    stop() {
      due.stop();
      ways.close();
      abandon.abort(new Error("the notifier stops"));
    },

    async idle() {
      const waited = await Promise.all([ways.idle(), due.idle()]);
      return waited.includes(true);
    },

    counts: () => ways.counts(),
  };
}
