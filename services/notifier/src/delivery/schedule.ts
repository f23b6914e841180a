import type { RetryRule } from "@longhaul/core";

const hourMs = 3_600_000;

/**
 * When a message is tried again: after 5 s, 30 s, 3 min, 18 min, 1.8 h, 10.8 h and then every 16 h, each up to 10 % less by chance.
 * `scalePercent` stretches or shrinks every pause. The default of 8 attempts takes 26 to 29 hours: long enough for a receiver that is down overnight.
 */
export function webhookRetryRule(attempts = 8, scalePercent = 100): RetryRule {
  const scale = scalePercent / 100;
  return { attempts, delayMs: Math.ceil(5_000 * scale), factor: 6, maxMs: Math.ceil(16 * hourMs * scale), jitter: 0.1 };
}
