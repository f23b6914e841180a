import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { isEnded, LonghaulError } from "@longhaul/core";
import {
  type TaskServiceSubmitRequest,
  type TaskServiceSubmitResponse,
  TaskServiceSubmitResponseSchema,
} from "@longhaul/proto/task_service";
import { errorOfRefusal, inputText, oneIdempotencyKey, projectOf, requestHash, submitItem, taskIds } from "@longhaul/shared";
import { showTask } from "../../tasks/read-tasks.ts";
import { waitForTask } from "../../tasks/watch-task.ts";
import type { SchedulerDeps } from "../deps.ts";

const newId = taskIds();

/** For clients that call the scheduler directly; the gateway comes in groups, by IntakeService. */
export async function submit(
  deps: SchedulerDeps,
  request: TaskServiceSubmitRequest,
  context: HandlerContext,
): Promise<TaskServiceSubmitResponse> {
  const project = projectOf(context);
  const key = oneIdempotencyKey(context.requestHeader.get("idempotency-key") ?? undefined, request.requestId);
  const input = inputText(request);
  const item = submitItem(request, {
    id: newId(),
    project,
    key,
    inputJson: Buffer.from(input),
    bodyHash: () => requestHash(request, input),
  });
  const { result } = await deps.submit(item);
  if (result.case === undefined) throw new LonghaulError("internal", "a submit was not answered");
  if (result.case === "refused") throw errorOfRefusal(result.value);
  const task = result.value;
  if (request.input !== undefined && task.input === undefined) task.input = request.input;
  const waitMs = request.wait === undefined ? 0 : durationMs(request.wait);
  const replayed = result.case === "replayed";
  if (waitMs <= 0) return create(TaskServiceSubmitResponseSchema, { task, replayed });
  const ended = await waitForTask(deps, { project, id: task.id }, isEnded, Math.min(waitMs, 60_000), context.signal);
  return create(TaskServiceSubmitResponseSchema, { task: await showTask(deps.payloads, ended), replayed });
}
