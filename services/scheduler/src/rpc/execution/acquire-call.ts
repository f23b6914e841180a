import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError } from "@longhaul/core";
import {
  type ExecutionServiceAcquireCallRequest,
  type ExecutionServiceAcquireCallResponse,
  ExecutionServiceAcquireCallResponseSchema,
} from "@longhaul/proto/execution_service";
import { heldTask } from "../../tasks/held-task.ts";
import type { SchedulerDeps } from "../deps.ts";

const callIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const maxTokens = 1_000_000_000;

export async function acquireCall(
  deps: SchedulerDeps,
  request: ExecutionServiceAcquireCallRequest,
): Promise<ExecutionServiceAcquireCallResponse> {
  const { project, id: taskId, attempt } = await heldTask(deps, request.hold, request.executor);
  const { connection, callId, estimatedTokens } = request;
  if (!callIdPattern.test(callId)) throw new LonghaulError("invalid_argument", "The call's id is not a UUID in lower case.");
  const tokens = Math.min(Math.max(0, Number(estimatedTokens)), maxTokens);
  const answer = await deps.calls.acquire(project, connection, { callId, taskId, attempt, tokens });
  return create(ExecutionServiceAcquireCallResponseSchema, {
    answer:
      answer.kind === "place"
        ? { case: "place", value: { lease: durationFromMs(answer.leaseMs) } }
        : { case: "delay", value: { wait: durationFromMs(answer.waitMs), reason: answer.reason } },
  });
}
