/** Every error code that the API answers; `packages/shared` maps each to a gRPC code and an HTTP status. */
export const errorCodes = [
  "invalid_argument",
  "invalid_input",
  "unauthenticated",
  "permission_denied",
  "not_found",
  "task_not_found",
  "workflow_not_found",
  "delivery_not_found",
  "conflict",
  "expired",
  "precondition_failed",
  "too_large",
  "unsupported_media_type",
  "idempotency_mismatch",
  "rate_limited",
  "unavailable",
  "cancelled",
  "deadline_exceeded",
  "internal",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One fault of a request: where, and what is wrong there. */
export interface FieldFault {
  /** JSON pointer into the request body (RFC 6901). */
  readonly pointer: string;
  /** A sentence that says what is wrong and, where it helps, what to do. */
  readonly message: string;
}

/** What a definition's fault carries beyond a field fault. */
export interface DefinitionFault extends FieldFault {
  /** Id of the node concerned, empty when none is. */
  readonly node: string;
  /** What to do about it, in a sentence. */
  readonly mend: string;
}

/** The one error class: what it says may be shown to a caller, what it wraps (`cause`) may not. */
export class LonghaulError extends Error {
  override readonly name = "LonghaulError";
  readonly code: ErrorCode;
  readonly faults: readonly FieldFault[];
  /** When to try again, for `rate_limited` and `unavailable`. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    more: { readonly cause?: unknown; readonly faults?: readonly FieldFault[]; readonly retryAfterMs?: number } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.faults = more.faults ?? [];
    this.retryAfterMs = more.retryAfterMs;
  }
}

/** Makes a `switch` over a union exhaustive: it does not compile when a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
