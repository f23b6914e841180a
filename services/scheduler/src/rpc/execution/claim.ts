import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceClaimRequest,
  type ExecutionServiceClaimResponse,
  ExecutionServiceClaimResponseSchema,
} from "@longhaul/proto/execution_service";
import { claimTasks } from "../../tasks/claim-tasks.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function claim(deps: SchedulerDeps, request: ExecutionServiceClaimRequest): Promise<ExecutionServiceClaimResponse> {
  return create(ExecutionServiceClaimResponseSchema, { results: await claimTasks(deps, request.executor, request.tickets) });
}
