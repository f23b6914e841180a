import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceSubmitJobRequest,
  type ExecutionServiceSubmitJobResponse,
  ExecutionServiceSubmitJobResponseSchema,
} from "@longhaul/proto/execution_service";
import { submitJob as submit } from "../../jobs/submit-job.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function submitJob(
  deps: SchedulerDeps,
  request: ExecutionServiceSubmitJobRequest,
): Promise<ExecutionServiceSubmitJobResponse> {
  await submit(deps, request);
  return create(ExecutionServiceSubmitJobResponseSchema, {});
}
