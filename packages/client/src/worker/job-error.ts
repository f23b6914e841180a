import type { Json } from "../api/json.ts";

/** Thrown by a function to say what its node's failure is. */
export class JobError extends Error {
  override readonly name = "JobError";
  /** `[a-z][a-z0-9_]{0,63}`. */
  readonly code: string;
  /** True when the same input may succeed later: then the node's `retry` applies. */
  readonly retryable: boolean;
  /** At most 3,000 bytes of JSON. */
  readonly details: { readonly [key: string]: Json } | undefined;

  constructor(
    code: string,
    message: string,
    more: { readonly retryable?: boolean; readonly details?: { readonly [key: string]: Json }; readonly cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.retryable = more.retryable ?? false;
    this.details = more.details;
  }
}
