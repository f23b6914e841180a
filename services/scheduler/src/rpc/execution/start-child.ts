import { create } from "@bufbuild/protobuf";
import {
  type ExecutionServiceStartChildRequest,
  type ExecutionServiceStartChildResponse,
  ExecutionServiceStartChildResponseSchema,
} from "@longhaul/proto/execution_service";
import { startChild as start } from "../../tasks/start-child.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function startChild(
  deps: SchedulerDeps,
  request: ExecutionServiceStartChildRequest,
): Promise<ExecutionServiceStartChildResponse> {
  return create(ExecutionServiceStartChildResponseSchema, { taskId: await start(deps, request) });
}
