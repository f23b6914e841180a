/** How to try again: one rule for nodes, tasks and webhooks. */
export interface RetryRule {
  /** How often in all, the first try included; 1 means never again. */
  readonly attempts: number;
  /** Wait before the second try. */
  readonly delayMs: number;
  /** What each further wait is multiplied by. */
  readonly factor: number;
  /** The longest wait. */
  readonly maxMs: number;
  /** Share of a wait that is random, 0 to 1: 0.2 gives 80 % to 100 % of it. */
  readonly jitter: number;
}

export type RetryDecision = { readonly again: true; readonly delayMs: number } | { readonly again: false };

/**
 * Whether, and after how long, to try again after `made` tries have failed.
 * `random` is a number in [0, 1); `retryAfterMs` is what the other side asked for and is a lower bound, itself bounded by a day.
 */
export function decideRetry(rule: RetryRule, made: number, random: number, retryAfterMs = 0): RetryDecision {
  if (made >= rule.attempts) return { again: false };
  // The power may overflow to Infinity, and 0 * Infinity is NaN.
  const full = rule.delayMs === 0 ? 0 : Math.min(rule.maxMs, rule.delayMs * rule.factor ** Math.max(0, made - 1));
  const delayMs = Math.round(full * (1 - rule.jitter * random));
  return { again: true, delayMs: Math.max(delayMs, Math.min(retryAfterMs, dayMs)) };
}

const dayMs = 86_400_000;
