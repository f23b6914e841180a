import { Code } from "@connectrpc/connect";
import type { ErrorCode } from "@longhaul/core";

/** What each error code is on gRPC and Connect. Does not compile when a code is missing. */
export const connectCodes = {
  invalid_argument: Code.InvalidArgument,
  invalid_input: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  task_not_found: Code.NotFound,
  workflow_not_found: Code.NotFound,
  delivery_not_found: Code.NotFound,
  conflict: Code.Aborted,
  expired: Code.NotFound,
  precondition_failed: Code.FailedPrecondition,
  too_large: Code.ResourceExhausted,
  unsupported_media_type: Code.InvalidArgument,
  idempotency_mismatch: Code.AlreadyExists,
  rate_limited: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  cancelled: Code.Canceled,
  deadline_exceeded: Code.DeadlineExceeded,
  internal: Code.Internal,
} as const satisfies Record<ErrorCode, Code>;

/** What each error code is over HTTP. A call that ran out of time inside is `503` outside: trying again may help. */
export const httpStatuses = {
  invalid_argument: 400,
  invalid_input: 422,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  task_not_found: 404,
  workflow_not_found: 404,
  delivery_not_found: 404,
  conflict: 409,
  expired: 410,
  precondition_failed: 412,
  too_large: 413,
  unsupported_media_type: 415,
  idempotency_mismatch: 422,
  rate_limited: 429,
  unavailable: 503,
  cancelled: 503,
  deadline_exceeded: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** What a gRPC code means when nothing more is known. Connect's own size limits are the only ones that say ResourceExhausted bare. */
export const codesWithoutDetails = {
  [Code.Canceled]: "cancelled",
  [Code.Unknown]: "internal",
  [Code.InvalidArgument]: "invalid_argument",
  [Code.DeadlineExceeded]: "deadline_exceeded",
  [Code.NotFound]: "not_found",
  [Code.AlreadyExists]: "conflict",
  [Code.PermissionDenied]: "permission_denied",
  [Code.ResourceExhausted]: "too_large",
  [Code.FailedPrecondition]: "precondition_failed",
  [Code.Aborted]: "conflict",
  [Code.OutOfRange]: "invalid_argument",
  [Code.Unimplemented]: "internal",
  [Code.Internal]: "internal",
  [Code.Unavailable]: "unavailable",
  [Code.DataLoss]: "internal",
  [Code.Unauthenticated]: "unauthenticated",
} as const satisfies Record<Code, ErrorCode>;
