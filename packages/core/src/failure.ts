/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a task or a node ended with instead of an output. Stored, and shown to users. */
export interface Failure {
  /** Stable and machine-readable, such as `node_failed`; see design section 6 for the tasks' codes. */
  readonly code: string;
  /** One sentence for people, without secrets and stack traces. */
  readonly message: string;
  /** Path of the node it comes from; absent when no single node is to blame. */
  readonly node?: string;
  /** True when the same input may succeed later. */
  readonly retryable: boolean;
  /** More facts, at most 4 KiB of JSON. */
  readonly details?: { readonly [key: string]: Json };
}
