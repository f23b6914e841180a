import { type DeliveryStore, type Endpoint, LonghaulError, type RetryRule, type StoredDelivery } from "@longhaul/core";
import type { Logger } from "@longhaul/shared";
import { type Clock, sleep } from "../clock.ts";
import type { Held } from "../lanes/lane.ts";
import type { Learnt } from "../lanes/lanes.ts";
import type { AttemptOutcome } from "../message/attempt.ts";
import { addLateAttempt, afterAttempt, leased, pause, type RetryPlan } from "./after-attempt.ts";

export interface DeliverDeps {
  readonly store: DeliveryStore;
  readonly clock: Clock;
  /** The database's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  readonly log: Logger;
  readonly rule: RetryRule;
  /** Total time of an attempt, and how long a lease outlasts it: the time to record it. */
  readonly timeoutMs: number;
  readonly marginMs: number;
  readonly attempt: (stored: StoredDelivery, signal: AbortSignal) => Promise<AttemptOutcome>;
  /** Aborts when the process gives up what is under way. */
  readonly abandoned: AbortSignal;
  /** A delivery is stored in this form now. */
  readonly onStored: (stored: StoredDelivery) => void;
}

/**
 * Sends one delivery and records what came of it. The order is what makes a crash harmless: the lease is stored before anything is sent, so
 * that nobody else sends meanwhile and the message comes due again by itself; the attempt is stored together with what follows from it.
 */
export async function deliver(deps: DeliverDeps, held: Held, answered: (learnt: Learnt) => Endpoint): Promise<void> {
  const { log } = deps;
  const { id } = held.stored.delivery;
  try {
    const claimed = await claim(deps, held);
    if (!claimed) return;
    const outcome = await deps.attempt(claimed, deps.abandoned);
    const { facts, verdict, sign } = outcome;
    const retryAfterMs = verdict.kind === "failed" ? verdict.retryAfterMs : 0;
    const { pausedUntil } = answered({ sign, latencyMs: facts.latencyMs, retryAfterMs });
    const recorded = await record(deps, claimed, outcome, pausedUntil);
    if (!recorded) return;
    const { state, made, nextAttemptTime } = recorded.delivery;
    log.info(
      { deliveryId: id, status: facts.status, latencyMs: facts.latencyMs, error: facts.error, made, state, nextAttemptTime },
      "webhook attempt",
    );
  } catch (err) {
    // Whatever was not recorded comes due again when its lease ends.
    if (!deps.abandoned.aborted) log.warn({ deliveryId: id, err }, "webhook attempt not carried through");
  }
}

/** Makes sure that this notifier alone may send until the attempt and its record are done; undefined when somebody else has changed it. */
async function claim(deps: DeliverDeps, { stored, leasedUntil }: Held): Promise<StoredDelivery | undefined> {
  const now = deps.now();
  if (leasedUntil >= now + deps.timeoutMs + deps.marginMs / 2) return stored;
  const next = leased(stored.delivery, now + deps.timeoutMs + deps.marginMs);
  const [result] = await deps.store.replace([{ next, rev: stored.rev }]);
  return result === "replaced" ? { delivery: next, rev: stored.rev + 1 } : undefined;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** Stores the attempt. While the database is away it waits, as long as the process lives: an attempt made must not be forgotten. */
async function record(
  deps: DeliverDeps,
  claimed: StoredDelivery,
  outcome: AttemptOutcome,
  pausedUntil: number | undefined,
): Promise<StoredDelivery | undefined> {
  const plan: RetryPlan = {
    rule: deps.rule,
    random: deps.random(),
    now: deps.now(),
    ...(pausedUntil !== undefined && { pausedUntil }),
  };
  let current: StoredDelivery | undefined = claimed;
  let isDoubtful = false;
  for (let pauseMs = firstPauseMs; ; ) {
    try {
      // After a write whose fate is not known, or that came too late, what is stored decides.
      if (isDoubtful) current = await deps.store.get(claimed.delivery.project, claimed.delivery.id);
      if (!current || (isDoubtful && isRecorded(current, claimed, outcome))) return current;
      const next = isOurs(current, claimed)
        ? afterAttempt(current.delivery, outcome.facts, outcome.verdict, plan)
        : addLateAttempt(current.delivery, outcome.facts, outcome.verdict);
      isDoubtful = true;
      const [result] = await deps.store.replace([{ next, rev: current.rev }]);
      if (result !== "replaced") continue;
      const stored = { delivery: next, rev: current.rev + 1 };
      deps.onStored(stored);
      return stored;
    } catch (error) {
      if (!(error instanceof LonghaulError) || error.code !== "unavailable") throw error;
      await sleep(deps.clock, pauseMs, deps.abandoned);
      if (deps.abandoned.aborted) throw error;
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  }
}

/** A lease is only ever moved forward, so the same end means that nobody has taken the delivery over. */
function isOurs(current: StoredDelivery, claimed: StoredDelivery): boolean {
  return current.delivery.nextAttemptTime === claimed.delivery.nextAttemptTime && current.delivery.made === claimed.delivery.made;
}

/** Whether a write whose answer was lost did happen: only attempts made since the claim can be this one. */
function isRecorded(current: StoredDelivery, claimed: StoredDelivery, { facts }: AttemptOutcome): boolean {
  return current.delivery.attempts.some(
    (one) =>
      one.number > claimed.delivery.made &&
      one.time === facts.time &&
      one.latencyMs === facts.latencyMs &&
      one.status === facts.status,
  );
}

/** Holds deliveries back until the circuit may close. What somebody else has changed meanwhile is left alone. */
export async function pauseAll(
  deps: Pick<DeliverDeps, "store" | "now" | "onStored">,
  items: readonly StoredDelivery[],
  until: number,
): Promise<void> {
  const now = deps.now();
  const changes = items.map(({ delivery, rev }) => ({ next: pause(delivery, until, now), rev }));
  const results = await deps.store.replace(changes);
  changes.forEach(({ next, rev }, at) => {
    if (results[at] === "replaced") deps.onStored({ delivery: next, rev: rev + 1 });
  });
}
