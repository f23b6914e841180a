import type { Failure } from "@longhaul/core";
import { ExpressionError } from "../expression/template.ts";
import { NodeFailure } from "../kinds/kind.ts";

const maxMessage = 2000;
const maxDetails = 3000;

/** A node's failure, and how long the other side asked to wait. */
export interface FailedTry {
  readonly error: Failure;
  readonly retryAfterMs: number;
}

/** What a thrown error means for its node; `unexpected` is told of what no kind should throw. */
export function failedTry(thrown: unknown, path: string, unexpected: (error: unknown) => void): FailedTry {
  if (thrown instanceof ExpressionError)
    return { error: failure("expression_error", thrown.message, path, false, { pointer: thrown.pointer }), retryAfterMs: 0 };
  if (thrown instanceof NodeFailure) {
    return {
      error: failure(thrown.code, thrown.message, path, thrown.retryable, thrown.details),
      retryAfterMs: thrown.retryAfterMs ?? 0,
    };
  }
  unexpected(thrown);
  return { error: failure("internal_error", "the node failed in a way that nobody expected", path, false), retryAfterMs: 0 };
}

/** A failure within the bounds of what is stored. */
export function failure(code: string, message: string, path: string, retryable: boolean, details?: Failure["details"]): Failure {
  const small = details !== undefined && JSON.stringify(details).length <= maxDetails ? { details } : {};
  return { code, message: message.slice(0, maxMessage), node: path, retryable, ...small };
}

/** The task's failure when a node's has no other way on. */
export function taskFailure(error: Failure): Failure {
  const code = error.code === "node_timeout" ? "node_timeout" : "node_failed";
  return { ...error, code, details: { code: error.code, ...(error.details ? { cause: error.details } : {}) } };
}
