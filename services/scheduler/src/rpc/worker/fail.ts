import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Json } from "@longhaul/core";
import {
  type WorkerServiceFailRequest,
  type WorkerServiceFailResponse,
  WorkerServiceFailResponseSchema,
} from "@longhaul/proto/worker_service";
import { projectOf } from "@longhaul/shared";
import { endJob } from "../../jobs/end-job.ts";
import { fenceOf } from "../../jobs/keep-jobs.ts";
import type { SchedulerDeps } from "../deps.ts";
import { wrong } from "./check-leases.ts";

const maxMessage = 2_000;
const maxDetailBytes = 3_000;

export async function fail(
  deps: SchedulerDeps,
  request: WorkerServiceFailRequest,
  context: HandlerContext,
): Promise<WorkerServiceFailResponse> {
  const { error } = request;
  if (error === undefined) throw wrong("/error", "Say why the function failed.");
  const { code, message, retryable, details } = error;
  if (code !== "" && !/^[a-z][a-z0-9_]{0,63}$/.test(code))
    throw wrong("/error/code", "A code has 1 to 64 small letters, digits and _, and begins with a letter.");
  if (details !== undefined && Buffer.byteLength(JSON.stringify(details)) > maxDetailBytes)
    throw wrong("/error/details", `More than ${maxDetailBytes} bytes of JSON.`);
  const key = { project: projectOf(context), id: request.id.toLowerCase() };
  await endJob(deps, key, fenceOf(request.fence), {
    error: {
      code: code === "" ? "function_failed" : code,
      message: message === "" ? "The function failed and did not say why." : message.slice(0, maxMessage),
      retryable,
      ...(details === undefined ? {} : { details: details as Json }),
    },
  });
  return create(WorkerServiceFailResponseSchema, {});
}
