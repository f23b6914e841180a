import type { ErrorCode, FieldFault, LonghaulError } from "@longhaul/core";
import { httpStatuses } from "@longhaul/shared";

/** Body of every answer that says no: RFC 9457, with the stable `code` and what exactly is wrong. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly instance?: string;
  readonly errors?: readonly ProblemFault[];
}

export interface ProblemFault {
  readonly pointer: string;
  readonly detail: string;
  readonly node?: string;
  readonly mend?: string;
}

/** An answer ready to be written. */
export interface ProblemAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export const problemType = "application/problem+json";

/** A few words per code, the same for every occurrence. Does not compile when a code is missing. */
export const problemTitles = {
  invalid_argument: "The request is malformed",
  invalid_input: "The input does not fit the workflow",
  unauthenticated: "No valid API key",
  permission_denied: "Not allowed",
  not_found: "Not found",
  task_not_found: "No such task",
  workflow_not_found: "No such workflow",
  delivery_not_found: "No such delivery",
  conflict: "Not possible in the present state",
  expired: "No longer kept",
  precondition_failed: "The precondition does not hold",
  too_large: "Too large",
  unsupported_media_type: "Unsupported media type",
  idempotency_mismatch: "The idempotency key belongs to another request",
  rate_limited: "Too many requests",
  unavailable: "Not available at the moment",
  cancelled: "The call was cancelled",
  deadline_exceeded: "The call ran out of time",
  internal: "Internal error",
} as const satisfies Record<ErrorCode, string>;

/** What differs from the usual mapping of an error to HTTP: 405, 408, 414 and 431 have no code of their own. */
export interface ProblemMore {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Path of the request. */
  readonly instance?: string;
}

/** The HTTP answer of an error. Nothing of its cause or stack is in it. */
export function problemAnswer(error: LonghaulError, more: ProblemMore = {}): ProblemAnswer {
  const status = more.status ?? httpStatuses[error.code];
  const problem: Problem = {
    type: `urn:longhaul:error:${error.code}`,
    title: problemTitles[error.code],
    status,
    detail: error.message,
    code: error.code,
    ...(more.instance !== undefined && { instance: more.instance.slice(0, 512) }),
    ...(error.faults.length > 0 && { errors: error.faults.map(faultOf) }),
  };
  return {
    status,
    headers: {
      "content-type": problemType,
      "cache-control": "no-store",
      ...(status === 401 && { "www-authenticate": 'Bearer realm="longhaul"' }),
      ...((status === 503 || status === 429 || error.retryAfterMs !== undefined) && {
        "retry-after": retryAfter(error.retryAfterMs),
      }),
      ...more.headers,
    },
    body: JSON.stringify(problem),
  };
}

function faultOf(fault: FieldFault): ProblemFault {
  const node = "node" in fault && typeof fault.node === "string" && fault.node !== "" ? fault.node : undefined;
  const mend = "mend" in fault && typeof fault.mend === "string" && fault.mend !== "" ? fault.mend : undefined;
  return {
    pointer: fault.pointer,
    detail: fault.message,
    ...(node !== undefined && { node }),
    ...(mend !== undefined && { mend }),
  };
}

/** Whole seconds, at least one. */
function retryAfter(ms = 1_000): string {
  return String(Math.max(1, Math.ceil(ms / 1_000)));
}
