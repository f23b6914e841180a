import type { Endpoint } from "@longhaul/core";

/** How patient a circuit is. */
export interface CircuitRule {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** The first pause. */
  readonly pauseMs: number;
  /** What each further pause is multiplied by. */
  readonly factor: number;
  /** The longest pause. */
  readonly maxPauseMs: number;
}

/** Opens after 5 failures in a row for 10 s, then twice as long after each probe that fails, up to 15 min. */
export const circuitRule: CircuitRule = { failures: 5, pauseMs: 10_000, factor: 2, maxPauseMs: 900_000 };

const longestPauseMs = 86_400_000;

/** `closed` lets messages through, `open` none, `half-open` one, as a probe. */
export type CircuitState = "closed" | "open" | "half-open";

export function circuitState(endpoint: Endpoint, now: number): CircuitState {
  if (endpoint.pausedUntil === undefined) return "closed";
  return now < endpoint.pausedUntil ? "open" : "half-open";
}

/** A receiver that answers is alive, whatever it answers short of 408, 429 and 5xx; any such answer closes the circuit. */
export function afterSign(endpoint: Endpoint): Endpoint {
  return { endpoint: endpoint.endpoint, consecutiveFailures: 0 };
}

/** One more failure. `retryAfterMs` is what the receiver asked for: an open circuit stays open that long at least (a day at most). */
export function afterFailure(endpoint: Endpoint, now: number, retryAfterMs: number, rule: CircuitRule = circuitRule): Endpoint {
  // Messages that were under way when the circuit opened tell nothing new.
  if (circuitState(endpoint, now) === "open") return endpoint;
  const consecutiveFailures = endpoint.consecutiveFailures + 1;
  if (consecutiveFailures < rule.failures) return { ...endpoint, consecutiveFailures };
  const grown = rule.pauseMs * rule.factor ** Math.min(64, consecutiveFailures - rule.failures);
  const pauseMs = Math.max(Math.min(rule.maxPauseMs, grown), Math.min(retryAfterMs, longestPauseMs));
  return { ...endpoint, consecutiveFailures, pausedUntil: now + pauseMs };
}
