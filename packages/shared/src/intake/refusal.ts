import { type ErrorCode, errorCodes, LonghaulError } from "@longhaul/core";
import type { SubmitRefusal } from "@longhaul/proto/intake_service";

/** The error that one item of a group was refused with, as if it had been submitted alone. */
export function errorOfRefusal(refusal: SubmitRefusal): LonghaulError {
  const code: ErrorCode = errorCodes.find((known) => known === refusal.code) ?? "internal";
  const faults = refusal.faults.map(({ pointer, message }) => ({ pointer, message }));
  return new LonghaulError(code, refusal.message, { faults, ...(code === "unavailable" && { retryAfterMs: 1_000 }) });
}
