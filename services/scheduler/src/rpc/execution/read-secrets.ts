import { create } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import {
  type ExecutionServiceReadSecretsRequest,
  type ExecutionServiceReadSecretsResponse,
  ExecutionServiceReadSecretsResponseSchema,
} from "@longhaul/proto/execution_service";
import { openSecrets } from "../../secrets/secret-record.ts";
import { heldTask } from "../../tasks/held-task.ts";
import type { SchedulerDeps } from "../deps.ts";

const maxNames = 1_000;

export async function readSecrets(
  deps: SchedulerDeps,
  request: ExecutionServiceReadSecretsRequest,
): Promise<ExecutionServiceReadSecretsResponse> {
  const { project } = await heldTask(deps, request.hold, request.executor);
  if (request.names.length > maxNames)
    throw new LonghaulError("invalid_argument", `At most ${maxNames} secrets can be read at once.`);
  return create(ExecutionServiceReadSecretsResponseSchema, { values: await openSecrets(deps, project, request.names) });
}
