import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WorkerServicePollRequest,
  type WorkerServicePollResponse,
  WorkerServicePollResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf } from "@longhaul/shared";
import { leaseJobs } from "../../jobs/lease-jobs.ts";
import { functionPattern } from "../../jobs/submit-job.ts";
import type { SchedulerDeps } from "../deps.ts";
import { waitOf, wrong } from "./check-leases.ts";

const maxFunctions = 100;
const maxCapacity = 100;
const maxWorker = 200;

export async function poll(
  deps: SchedulerDeps,
  request: WorkerServicePollRequest,
  context: HandlerContext,
): Promise<WorkerServicePollResponse> {
  const { worker, functions } = request;
  if (worker === "" || worker.length > maxWorker)
    throw wrong("/worker", `Give the worker a name of 1 to ${maxWorker} characters.`);
  if (functions.length === 0 || functions.length > maxFunctions)
    throw wrong("/functions", `Name 1 to ${maxFunctions} functions that the worker serves.`);
  functions.forEach(({ name, capacity }, at) => {
    if (!functionPattern.test(name))
      throw wrong(`/functions/${at}/name`, "The name of a function has 1 to 128 letters, digits and . _ -.");
    if (functions.findIndex((one) => one.name === name) !== at)
      throw wrong(`/functions/${at}/name`, "The function is named twice.");
    if (capacity < 0 || capacity > maxCapacity) throw wrong(`/functions/${at}/capacity`, `Give 0 to ${maxCapacity}.`);
  });
  const jobs = await leaseJobs(deps, {
    project: projectOf(context),
    worker,
    functions,
    waitMs: waitOf(request.wait),
    signal: context.signal,
  });
  return create(WorkerServicePollResponseSchema, { jobs: [...jobs] });
}
