import { create, type JsonObject } from "@bufbuild/protobuf";
import type { Failure, Json } from "@longhaul/core";
import { type Failure as FailureMessage, FailureSchema } from "@longhaul/proto/task";

/** A failure as it travels between services, and as the API shows it. */
export function failureMessage(failure: Failure): FailureMessage {
  return create(FailureSchema, {
    code: failure.code,
    message: failure.message,
    node: failure.node ?? "",
    retryable: failure.retryable,
    ...(failure.details === undefined ? {} : { details: failure.details as JsonObject }),
  });
}

/** A failure as another service sent it. */
export function failureOf({ code, message, retryable, node, details }: FailureMessage): Failure {
  return {
    code,
    message,
    retryable,
    ...(node === "" ? {} : { node }),
    ...(details === undefined ? {} : { details: details as { readonly [key: string]: Json } }),
  };
}

/** What a value that is too large to keep does to its node, or (without a node) to the task. */
export function tooLarge(node: string | undefined, bytes: number, maxBytes: number): Failure {
  const what = node === undefined ? "The task's output" : `The output of node "${node}"`;
  return {
    code: "node_failed",
    message: `${what} has ${bytes} bytes of JSON; at most ${maxBytes} are kept. Pass a link to the data instead.`,
    retryable: false,
    details: { cause: "too_large", bytes },
    ...(node === undefined ? {} : { node }),
  };
}
