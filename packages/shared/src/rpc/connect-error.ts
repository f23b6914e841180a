import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type DefinitionFault, type ErrorCode, errorCodes, type FieldFault, LonghaulError } from "@longhaul/core";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@longhaul/proto/google/rpc/error_details_pb";
import { type DefinitionFault as DefinitionFaultMessage, DefinitionFaultsSchema } from "@longhaul/proto/workflow_service";
import { codesWithoutDetails, connectCodes } from "./error-codes.ts";

const domain = "longhaul";

/**
 * What of an error goes out: a LonghaulError with google.rpc details (ErrorInfo, BadRequest, RetryInfo), a ConnectError as it is, an
 * abort or timeout as such, anything else as a bare `internal` whose cause stays inside.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof LonghaulError) return encode(error);
  if (error instanceof Error && error.name === "AbortError")
    return encode(new LonghaulError("cancelled", "the call was cancelled"));
  if (error instanceof Error && error.name === "TimeoutError")
    return encode(new LonghaulError("deadline_exceeded", "the call ran out of time"));
  return encode(new LonghaulError("internal", "internal error", { cause: error }));
}

/** The LonghaulError that a call failed with, as the other side threw it; failures of the connection are `unavailable`. */
export function fromConnectError(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  if (!(error instanceof ConnectError)) return new LonghaulError("internal", "internal error", { cause: error });
  const [info] = error.findDetails(ErrorInfoSchema);
  const code = info?.domain === domain ? errorCodes.find((one) => one === info.reason.toLowerCase()) : undefined;
  if (!code) return new LonghaulError(codeOf(error), error.rawMessage || "the call failed without a message", { cause: error });
  const [bad] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [definition] = error.findDetails(DefinitionFaultsSchema);
  return new LonghaulError(code, error.rawMessage, {
    cause: error,
    faults:
      definition?.faults.map(faultOf) ??
      bad?.fieldViolations.map(({ field, description }) => ({ pointer: field, message: description })) ??
      [],
    ...(retry?.retryDelay && { retryAfterMs: durationMs(retry.retryDelay) }),
  });
}

function faultOf({ pointer, message, node, mend }: Omit<DefinitionFaultMessage, "$typeName">): DefinitionFault {
  return { pointer, message, node, mend };
}

function isDefinitionFault(fault: FieldFault): fault is DefinitionFault {
  return "mend" in fault && "node" in fault;
}

function encode(error: LonghaulError): ConnectError {
  const { code, message, faults, retryAfterMs, cause } = error;
  const details = [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: code.toUpperCase(), domain }) },
    ...(faults.length === 0
      ? []
      : [
          {
            desc: BadRequestSchema,
            value: create(BadRequestSchema, {
              fieldViolations: faults.map(({ pointer, message }) => ({ field: pointer, description: message })),
            }),
          },
        ]),
    ...(faults.some(isDefinitionFault)
      ? [
          {
            desc: DefinitionFaultsSchema,
            value: create(DefinitionFaultsSchema, { faults: faults.filter(isDefinitionFault).map(faultOf) }),
          },
        ]
      : []),
    ...(retryAfterMs === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay: durationFromMs(Math.ceil(retryAfterMs)) }) }]),
  ];
  return new ConnectError(message, connectCodes[code], undefined, details, cause);
}

function codeOf(error: ConnectError): ErrorCode {
  // Connect calls a torn connection Aborted or Internal; that it was the connection shows in the system error beneath.
  if ((error.code === Code.Aborted || error.code === Code.Internal || error.code === Code.Unknown) && isConnectionFault(error)) {
    return "unavailable";
  }
  return codesWithoutDetails[error.code];
}

const connectionFaults = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ERR_HTTP2_STREAM_ERROR",
  "ERR_HTTP2_SESSION_ERROR",
  "ERR_HTTP2_INVALID_SESSION",
  "ERR_HTTP2_GOAWAY_SESSION",
  "ERR_HTTP2_STREAM_CANCEL",
  "ERR_STREAM_PREMATURE_CLOSE",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Whether a system error of the connection lies under `error`. */
export function isConnectionFault(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if ("code" in at && typeof at.code === "string" && connectionFaults.has(at.code)) return true;
  }
  return false;
}
