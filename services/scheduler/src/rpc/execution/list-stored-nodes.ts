import { create } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import {
  type ExecutionServiceListStoredNodesRequest,
  type ExecutionServiceListStoredNodesResponse,
  ExecutionServiceListStoredNodesResponseSchema,
} from "@longhaul/proto/execution_service";
import { isOfUse } from "../../tasks/claim-tasks.ts";
import { inlineValues, storedNodeMessage } from "../../tasks/stored-messages.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 500;
const maxPageSize = 1_000;
/** Large values of one page, together; the others by key. */
const inlineBytes = 1_048_576;

export async function listStoredNodes(
  deps: SchedulerDeps,
  request: ExecutionServiceListStoredNodesRequest,
): Promise<ExecutionServiceListStoredNodesResponse> {
  const { hold, prefix, top } = request;
  if (hold === undefined) throw new LonghaulError("invalid_argument", "The request names no hold.");
  const key = { project: hold.project, id: hold.taskId };
  const [stored] = await deps.store.get([key]);
  if (stored === undefined || stored.task.attempt !== hold.attempt)
    throw new LonghaulError("precondition_failed", "Another attempt holds the task, or it is gone.");
  const limit = request.pageSize <= 0 ? defaultPageSize : Math.min(maxPageSize, request.pageSize);
  const place = parsePageToken(request.pageToken, ["number", "number", "string"]);
  const after = place && { attempt: place[0], report: place[1], path: place[2] };
  const runs = await deps.store.listNodeRuns(key, limit, after, {
    ...(prefix === "" ? {} : { prefix }),
    ...(top ? { top } : {}),
  });
  const nodes = runs.filter(isOfUse).map((run) => storedNodeMessage(run, deps.box));
  await inlineValues(
    deps,
    nodes.map((node) => node.output),
    { left: inlineBytes },
  );
  const last = runs.length === limit ? runs.at(-1) : undefined;
  return create(ExecutionServiceListStoredNodesResponseSchema, {
    nodes,
    nextPageToken: last === undefined ? "" : pageToken([last.attempt, last.report, last.path]),
  });
}
