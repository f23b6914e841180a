import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkerServiceCompleteRequest,
  type WorkerServiceCompleteResponse,
  WorkerServiceCompleteResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf, valueToJson } from "@longhaul/shared";
import { endJob } from "../../jobs/end-job.ts";
import { fenceOf } from "../../jobs/keep-jobs.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function complete(
  deps: SchedulerDeps,
  request: WorkerServiceCompleteRequest,
  context: HandlerContext,
): Promise<WorkerServiceCompleteResponse> {
  const key = { project: projectOf(context), id: request.id.toLowerCase() };
  const output = request.output === undefined ? null : valueToJson(request.output);
  await endJob(deps, key, fenceOf(request.fence), { output });
  return create(WorkerServiceCompleteResponseSchema, {});
}
