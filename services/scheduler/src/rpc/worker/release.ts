import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkerServiceReleaseRequest,
  type WorkerServiceReleaseResponse,
  WorkerServiceReleaseResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf } from "@longhaul/shared";
import { releaseJobs } from "../../jobs/keep-jobs.ts";
import type { SchedulerDeps } from "../deps.ts";
import { leasesOf, standings } from "./check-leases.ts";

export async function releaseJob(
  deps: SchedulerDeps,
  request: WorkerServiceReleaseRequest,
  context: HandlerContext,
): Promise<WorkerServiceReleaseResponse> {
  const leases = leasesOf(projectOf(context), request.jobs);
  return create(WorkerServiceReleaseResponseSchema, { jobs: standings(leases, await releaseJobs(deps, leases)) });
}
