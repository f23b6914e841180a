import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { taskSubject } from "@longhaul/core";
import {
  type WorkerServiceProgressRequest,
  type WorkerServiceProgressResponse,
  WorkerServiceProgressResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf, valueToJson } from "@longhaul/shared";
import { fenceOf, leasedJob } from "../../jobs/keep-jobs.ts";
import type { SchedulerDeps } from "../deps.ts";
import { wrong } from "./check-leases.ts";

const maxDeltaBytes = 65_536;

export async function progress(
  deps: SchedulerDeps,
  request: WorkerServiceProgressRequest,
  context: HandlerContext,
): Promise<WorkerServiceProgressResponse> {
  const delta = request.delta === undefined ? null : valueToJson(request.delta);
  if (Buffer.byteLength(JSON.stringify(delta)) > maxDeltaBytes)
    throw wrong("/delta", `More than ${maxDeltaBytes} bytes of JSON.`);
  const project = projectOf(context);
  const job = await leasedJob(deps, { project, id: request.id.toLowerCase(), fence: fenceOf(request.fence) });
  if (!job.withheld) deps.live.publish(taskSubject(job.partition, job.taskId), { node: job.node, delta });
  return create(WorkerServiceProgressResponseSchema, {});
}
