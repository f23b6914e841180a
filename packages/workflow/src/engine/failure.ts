import type { Failure } from "@longhaul/core";
import { ExpressionError } from "../expression/template.ts";
import { NodeFailure, type Sent } from "../kinds/kind.ts";
import type { Vault } from "./redact-secrets.ts";

const maxMessage = 2000;
const maxDetails = 3000;

/** A node's failure, how long the other side asked to wait, and whether it may have seen the call. */
export interface FailedTry {
  readonly error: Failure;
  readonly retryAfterMs: number;
  readonly sent: Sent;
  /** It was not its turn yet: the try does not count. */
  readonly notTried: boolean;
}

/** What a thrown error means for its node; `unexpected` is told of what no kind should throw. */
export function failedTry(thrown: unknown, path: string, vault: Vault, unexpected: (error: unknown) => void): FailedTry {
  if (thrown instanceof ExpressionError)
    return { error: expressionFailure(thrown, path, vault), retryAfterMs: 0, sent: "no", notTried: false };
  if (thrown instanceof NodeFailure) {
    return {
      // Before anything is cut: what is left of a value at a cut is harder to find.
      error: failure(
        thrown.code,
        vault.text(thrown.message),
        path,
        thrown.retryable,
        thrown.details && vault.details(thrown.details),
      ),
      retryAfterMs: thrown.retryAfterMs ?? 0,
      sent: thrown.sent,
      notTried: thrown.notTried,
    };
  }
  unexpected(vault.thrown(thrown));
  const error = failure("internal_error", "the node failed in a way that nobody expected", path, false);
  return { error, retryAfterMs: 0, sent: "unknown", notTried: false };
}

/** What it means for a node, or for the task, that an expression has no value. */
export function expressionFailure({ message, pointer }: ExpressionError, path: string, vault: Vault): Failure {
  const secret = vault.missingAt(pointer);
  if (secret === undefined) return failure("expression_error", vault.text(message), path, false, { pointer });
  const mend = `there is no secret "${secret}" in this project; PUT /v1/secrets/${secret} sets it`;
  return failure("secret_not_found", mend, path, false, { pointer, secret });
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

/** The failure of a node that works with secrets: its kind's words may hold what is to stay secret. */
export function withheld({ code, node, retryable }: Failure): Failure {
  const message = "the node failed; what it said is withheld, because it works with secret values";
  return { code, message, retryable, ...(node === undefined ? {} : { node }) };
}
