import { create } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import {
  type ExecutionServiceReadDefinitionRequest,
  type ExecutionServiceReadDefinitionResponse,
  ExecutionServiceReadDefinitionResponseSchema,
} from "@longhaul/proto/execution_service";
import type { SchedulerDeps } from "../deps.ts";

export async function readDefinition(
  deps: SchedulerDeps,
  request: ExecutionServiceReadDefinitionRequest,
): Promise<ExecutionServiceReadDefinitionResponse> {
  const { project, workflow, revision } = request;
  const found = await deps.catalogStore.getRevision(project, workflow, revision);
  if (found === undefined) throw new LonghaulError("workflow_not_found", `Workflow "${workflow}" has no revision ${revision}.`);
  return create(ExecutionServiceReadDefinitionResponseSchema, { definitionJson: Buffer.from(JSON.stringify(found.definition)) });
}
