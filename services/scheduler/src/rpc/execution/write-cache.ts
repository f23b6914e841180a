import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type ExecutionServiceWriteCacheRequest,
  type ExecutionServiceWriteCacheResponse,
  ExecutionServiceWriteCacheResponseSchema,
} from "@longhaul/proto/execution_service";
import { writeCached } from "../../tasks/cached-results.ts";
import { lastHeldTask } from "../../tasks/held-task.ts";
import { textOf } from "../../tasks/payloads.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function writeCache(
  deps: SchedulerDeps,
  request: ExecutionServiceWriteCacheRequest,
): Promise<ExecutionServiceWriteCacheResponse> {
  const { project } = await lastHeldTask(deps, request.hold, request.executor);
  const ttlMs = request.ttl === undefined ? 0 : durationMs(request.ttl);
  await writeCached(deps, project, request.key, { json: textOf(request.valueJson), ttlMs });
  return create(ExecutionServiceWriteCacheResponseSchema);
}
