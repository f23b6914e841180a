import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceHeartbeatRequest,
  type ExecutionServiceHeartbeatResponse,
  ExecutionServiceHeartbeatResponseSchema,
} from "@longhaul/proto/execution_service";
import { applyToHolds } from "../../tasks/apply-reports.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function heartbeat(
  deps: SchedulerDeps,
  request: ExecutionServiceHeartbeatRequest,
): Promise<ExecutionServiceHeartbeatResponse> {
  return create(ExecutionServiceHeartbeatResponseSchema, {
    results: await applyToHolds(deps, request.executor, "heartbeat", request.holds),
  });
}
