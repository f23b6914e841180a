import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkerServiceLogRequest,
  type WorkerServiceLogResponse,
  WorkerServiceLogResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf } from "@longhaul/shared";
import { fenceOf, logLines } from "../../jobs/keep-jobs.ts";
import type { SchedulerDeps } from "../deps.ts";
import { wrong } from "./check-leases.ts";

const maxLines = 100;

export async function log(
  deps: SchedulerDeps,
  request: WorkerServiceLogRequest,
  context: HandlerContext,
): Promise<WorkerServiceLogResponse> {
  const { lines } = request;
  if (lines.length === 0 || lines.length > maxLines) throw wrong("/lines", `Give 1 to ${maxLines} lines.`);
  const lease = { project: projectOf(context), id: request.id.toLowerCase(), fence: fenceOf(request.fence) };
  await logLines(deps, lease, lines);
  return create(WorkerServiceLogResponseSchema, {});
}
