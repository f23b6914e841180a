import { create } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import {
  type ExecutionServiceReleaseCallRequest,
  type ExecutionServiceReleaseCallResponse,
  ExecutionServiceReleaseCallResponseSchema,
} from "@longhaul/proto/execution_service";
import type { SchedulerDeps } from "../deps.ts";

/** Asks for no hold: the call of a task that was cancelled ends too, and nobody but who took the place knows its id. */
export async function releaseCall(
  deps: SchedulerDeps,
  { hold, connection, callId, tokens }: ExecutionServiceReleaseCallRequest,
): Promise<ExecutionServiceReleaseCallResponse> {
  if (hold === undefined) throw new LonghaulError("invalid_argument", "The request names no hold.");
  await deps.calls.release(hold.project, connection, callId, tokens === undefined ? undefined : Math.max(0, Number(tokens)));
  return create(ExecutionServiceReleaseCallResponseSchema);
}
