import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceReleaseRequest,
  type ExecutionServiceReleaseResponse,
  ExecutionServiceReleaseResponseSchema,
} from "@longhaul/proto/execution_service";
import { applyToHolds } from "../../tasks/apply-reports.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function release(
  deps: SchedulerDeps,
  request: ExecutionServiceReleaseRequest,
): Promise<ExecutionServiceReleaseResponse> {
  return create(ExecutionServiceReleaseResponseSchema, {
    results: await applyToHolds(deps, request.executor, "release", request.holds),
  });
}
