import type { Client } from "@connectrpc/connect";
import type { DeliveryStore, Outbound, RetryRule } from "@longhaul/core";
import type { IntakeService } from "@longhaul/proto/intake_service";
import { aborted, type Logger, type Part, part, type SecretBox } from "@longhaul/shared";
import { type Clock, systemClock } from "./clock.ts";
import { webhookRetryRule } from "./delivery/schedule.ts";
import { type Sender, sender } from "./delivery/sender.ts";
import type { LaneLimits } from "./lanes/lanes.ts";
import { reporter, type Standing } from "./loops/reporter.ts";
import { retention } from "./loops/retention.ts";
import { storeClock } from "./loops/store-clock.ts";
import { wireStates } from "./rpc/delivery-message.ts";
import { type NotifierServices, notifierServices } from "./rpc/services.ts";

/** What a notifier needs. */
export interface NotifierParts {
  readonly store: DeliveryStore;
  /** The guarded way out; it must not follow redirects. */
  readonly outbound: Outbound;
  /** The scheduler's service that keeps how each task's deliveries stand. */
  readonly intake: Pick<Client<typeof IntakeService>, "recordDeliveries">;
  readonly box: Pick<SecretBox, "open">;
  readonly log: Logger;
  /** Attempts per message before it is exhausted; default 8, about 28 hours. */
  readonly attempts?: number;
  /** Stretches or shrinks the pauses between attempts; default 100. */
  readonly retryScalePercent?: number;
  /** When to try again, in place of the rule that `attempts` and `retryScalePercent` give. */
  readonly rule?: RetryRule;
  /** Total time of one attempt; default 15,000. */
  readonly timeoutMs?: number;
  /** How often due deliveries are looked for although nothing told to; default 1,000. */
  readonly sweepMs?: number;
  /** How long a delivery is kept after its last attempt, once the scheduler knows how it ended; default 30 days. */
  readonly retentionMs?: number;
  readonly limits?: LaneLimits;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
}

export interface Notifier {
  readonly services: NotifierServices;
  /** To be started in this order and stopped in reverse. */
  readonly parts: readonly Part[];
  /** Resolves when nothing is being sent, looked for, reported or removed; what waits for a time to come does not count. */
  idle(): Promise<void>;
  /** What is held in memory. */
  counts(): ReturnType<Sender["counts"]>;
}

const defaultRetentionMs = 30 * 86_400_000;

/** A notifier on any store: its services, and the parts that send and report. */
export function notifier(given: NotifierParts): Notifier {
  const { store, outbound, intake, box, log, clock = systemClock, random = Math.random } = given;
  const { timeoutMs = 15_000, sweepMs = 1_000, rule = webhookRetryRule(given.attempts, given.retryScalePercent) } = given;
  const { retentionMs = defaultRetentionMs } = given;

  const time = storeClock({ store, clock, log });
  const reports = reporter({ store, clock, log, record: (standings) => recordStandings(intake, standings) });
  const sends = sender({
    store,
    outbound,
    open: (sealed) => box.open(sealed),
    clock,
    now: time.now,
    random,
    log,
    rule,
    timeoutMs,
    sweepMs,
    ...(given.limits && { limits: given.limits }),
    report: reports.report,
  });
  const expiry = retention({ store, retentionMs, now: time.now, clock, log });

  return {
    services: notifierServices({ store, sender: sends, now: time.now }),
    parts: [
      part("database clock", { start: time.start, stop: async () => time.stop() }),
      part("delivery reports", {
        start: async () => reports.start(),
        drain: async (deadline) => void (await Promise.race([reports.idle(), aborted(deadline)])),
        stop: async () => reports.stop(),
      }),
      part("deliveries", { start: async () => sends.start(), drain: sends.drain, stop: async () => sends.stop() }),
      part("retention", { start: async () => expiry.start(), stop: () => expiry.stop() }),
    ],
    async idle() {
      for (let waited = true; waited; )
        waited = (await Promise.all([sends.idle(), reports.idle(), expiry.idle()])).includes(true);
    },
    counts: sends.counts,
  };
}

async function recordStandings(intake: NotifierParts["intake"], standings: readonly Standing[]): Promise<readonly string[]> {
  const { recorded } = await intake.recordDeliveries({
    standings: standings.map(({ project, taskId, event, state, sequence }) => ({
      project,
      taskId,
      event,
      state: wireStates[state],
      sequence: BigInt(sequence),
    })),
  });
  return recorded;
}
