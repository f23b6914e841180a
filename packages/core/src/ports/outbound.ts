/** The outside world that nodes and webhooks call: guarded, bounded, without redirects. Fulfilled by `@longhaul/shared`. */
export interface Outbound {
  /**
   * Sends one request and reads the whole answer.
   * Rejects with an OutboundError; never with anything else, except the signal's reason when `signal` aborts.
   */
  request(request: OutboundRequest): Promise<OutboundResponse>;
  /**
   * Sends one request and answers as soon as the head of the answer is there; its body is read piece by piece, as it comes. Bounded as `request`
   * is: the time ends with the last byte, and a body beyond the bytes allowed rejects with `response_too_large`. Rejects as `request` does.
   */
  stream(request: OutboundStreamRequest): Promise<OutboundStream>;
}

export interface OutboundRequest {
  readonly method: string;
  /** Absolute http or https URL. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Total time from connect to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Reads at most this many bytes of the answer. */
  readonly maxResponseBytes: number;
  /** `fail` (default) rejects with `response_too_large`; `truncate` keeps the first bytes and stops reading. */
  readonly oversize?: "fail" | "truncate";
  readonly signal?: AbortSignal;
}

export interface OutboundResponse {
  readonly status: number;
  /** Names in lower case; repeated headers joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export type OutboundStreamRequest = Omit<OutboundRequest, "oversize">;

/** An answer whose body is still to come. Read `body` to its end, or call `close`: until then its connection is in use. */
export interface OutboundStream {
  readonly status: number;
  /** As those of an OutboundResponse. */
  readonly headers: Readonly<Record<string, string>>;
  /** Can be read once. Rejects as `request` does; leaving the loop early closes the connection. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads no more. Harmless when all is read. */
  close(): void;
}

/** `forbidden_address` and `invalid_url` will fail again; the others may not. */
export type OutboundFault = "invalid_url" | "forbidden_address" | "connect_failed" | "timeout" | "response_too_large" | "network";

export class OutboundError extends Error {
  override readonly name = "OutboundError";
  readonly fault: OutboundFault;
  constructor(fault: OutboundFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}
