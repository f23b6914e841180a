import {
  type Delivery,
  type DeliveryAttempt,
  type DeliveryStateName,
  decideRetry,
  type RetryRule,
  unreachable,
} from "@longhaul/core";

/** What an attempt means for its message. */
export type Verdict =
  | { readonly kind: "delivered" }
  /** Trying again can't help: the receiver answered 410, or the address is not to be called. */
  | { readonly kind: "hopeless" }
  | { readonly kind: "failed"; readonly retryAfterMs: number };

/** What was learnt from one attempt, all but its number. */
export type AttemptFacts = Omit<DeliveryAttempt, "number">;

export interface RetryPlan {
  readonly rule: RetryRule;
  /** In [0, 1). */
  readonly random: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Set while the endpoint's circuit is open. */
  readonly pausedUntil?: number;
}

const attemptsKept = 50;

/** A message that its endpoint's open circuit has held back for this long is given up, so that nothing waits for ever. */
export const longestPauseMs = 7 * 86_400_000;

/** The delivery with one more attempt on record and what follows from it: an end, or the time of the next attempt. */
export function afterAttempt(delivery: Delivery, facts: AttemptFacts, verdict: Verdict, plan: RetryPlan): Delivery {
  const tried = addAttempt(delivery, facts);
  switch (verdict.kind) {
    case "delivered":
      return moveTo(tried, "delivered");
    case "hopeless":
      return moveTo(tried, "exhausted");
    case "failed": {
      const retry = decideRetry(plan.rule, tried.madeInRound, plan.random, verdict.retryAfterMs);
      if (!retry.again) return moveTo(tried, "exhausted");
      const at = plan.now + retry.delayMs;
      return plan.pausedUntil !== undefined && plan.pausedUntil > at
        ? pause(tried, plan.pausedUntil, plan.now)
        : moveTo(tried, "pending", at);
    }
    default:
      return unreachable(verdict);
  }
}

/**
 * The delivery with an attempt that ended after its lease had: another notifier holds the message now, so only a success changes where it
 * stands, because what arrived has arrived.
 */
export function addLateAttempt(delivery: Delivery, facts: AttemptFacts, verdict: Verdict): Delivery {
  const tried = addAttempt(delivery, facts);
  if (verdict.kind === "delivered") return moveTo(tried, "delivered");
  return tried;
}

/** Holds a delivery back until the circuit may close, without counting an attempt; gives it up after a week in vain. */
export function pause(delivery: Delivery, until: number, now: number): Delivery {
  const isReplayed = delivery.made > delivery.madeInRound;
  const isTooOld = now - delivery.createTime > longestPauseMs && (!isReplayed || delivery.madeInRound > 0);
  if (isTooOld) return moveTo(delivery, "exhausted");
  // Those that were tried least come first when the time is up, so that one message does not serve as the probe each time.
  return moveTo(delivery, "paused", until + Math.min(delivery.madeInRound, 999));
}

/** The delivery for another round of attempts. */
export function replayed(delivery: Delivery, at: number): Delivery {
  return moveTo({ ...delivery, madeInRound: 0 }, "pending", at);
}

/** The delivery under a lease: unless this notifier says otherwise, another one may send it from `until` on. */
export function leased(delivery: Delivery, until: number): Delivery {
  return { ...delivery, nextAttemptTime: until };
}

function addAttempt(delivery: Delivery, facts: AttemptFacts): Delivery {
  const made = delivery.made + 1;
  return {
    ...delivery,
    attempts: [...delivery.attempts, { number: made, ...facts }].slice(-attemptsKept),
    made,
    madeInRound: delivery.madeInRound + 1,
  };
}

/** The scheduler knows states only, so only a change of state is news. */
function moveTo(delivery: Delivery, state: DeliveryStateName, nextAttemptTime?: number): Delivery {
  const { nextAttemptTime: _, ...rest } = delivery;
  const moved = { ...rest, state, ...(nextAttemptTime !== undefined && { nextAttemptTime }) };
  return state === delivery.state ? moved : { ...moved, sequence: delivery.sequence + 1, unreported: true };
}
