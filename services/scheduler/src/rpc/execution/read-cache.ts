import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceReadCacheRequest,
  type ExecutionServiceReadCacheResponse,
  ExecutionServiceReadCacheResponseSchema,
} from "@longhaul/proto/execution_service";
import { readCached } from "../../tasks/cached-results.ts";
import { heldTask } from "../../tasks/held-task.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function readCache(
  deps: SchedulerDeps,
  request: ExecutionServiceReadCacheRequest,
): Promise<ExecutionServiceReadCacheResponse> {
  const { project } = await heldTask(deps, request.hold, request.executor);
  const json = await readCached(deps, project, request.key);
  return create(ExecutionServiceReadCacheResponseSchema, json === undefined ? {} : { valueJson: Buffer.from(json) });
}
