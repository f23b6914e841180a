import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkerServiceHeartbeatRequest,
  type WorkerServiceHeartbeatResponse,
  WorkerServiceHeartbeatResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf } from "@longhaul/shared";
import { keepJobsWaiting } from "../../jobs/keep-jobs.ts";
import type { SchedulerDeps } from "../deps.ts";
import { leasesOf, standings, waitOf } from "./check-leases.ts";

export async function heartbeat(
  deps: SchedulerDeps,
  request: WorkerServiceHeartbeatRequest,
  context: HandlerContext,
): Promise<WorkerServiceHeartbeatResponse> {
  const project = projectOf(context);
  const leases = leasesOf(project, request.jobs);
  const verdicts = await keepJobsWaiting(deps, project, leases, waitOf(request.wait), context.signal);
  return create(WorkerServiceHeartbeatResponseSchema, { jobs: standings(leases, verdicts) });
}
