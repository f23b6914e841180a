import type { RetryRule } from "../retry/backoff.ts";

/** The numbers that `transition()` decides by. */
export interface Rules {
  /** How long a hold lasts without a sign of life. */
  readonly leaseMs: number;
  /** First look after an unclaimed ticket; doubles with each look, up to `ticketMaxMs`. */
  readonly ticketMs: number;
  readonly ticketMaxMs: number;
  /** First look after a wait for a slot, in case its turn went unnoticed; doubles with each look, up to `slotMaxMs`. */
  readonly slotMs: number;
  readonly slotMaxMs: number;
  /** Claims without progress before a task fails with `tries_exhausted`. */
  readonly maxTries: number;
  /** Pause before the next attempt after a lost lease; the first comes at once. */
  readonly lost: RetryRule;
  /** First look after a debt, in case its hand-over was lost. */
  readonly debtMs: number;
  /** Pause before a debt is tried again. */
  readonly debt: RetryRule;
}

export const defaultRules: Rules = {
  leaseMs: 30_000,
  ticketMs: 5_000,
  ticketMaxMs: 60_000,
  slotMs: 5_000,
  slotMaxMs: 600_000,
  maxTries: 5,
  lost: { attempts: Number.MAX_SAFE_INTEGER, delayMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0 },
  debtMs: 3_000,
  debt: { attempts: Number.MAX_SAFE_INTEGER, delayMs: 500, factor: 2, maxMs: 60_000, jitter: 0 },
};
