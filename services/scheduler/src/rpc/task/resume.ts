import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type TaskServiceCreateResumeLinkRequest,
  type TaskServiceCreateResumeLinkResponse,
  TaskServiceCreateResumeLinkResponseSchema,
  type TaskServiceResumeRequest,
  type TaskServiceResumeResponse,
  TaskServiceResumeResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf, resumeToken, resumeUrl, valueToJson } from "@longhaul/shared";
import { checkOpen, handIn, standingOf } from "../../tasks/hand-in.ts";
import type { SchedulerDeps } from "../deps.ts";

/** A link tells nobody who used it; an approval asks for the name in its payload. */
const byLink = "";

/** The token says the project, the task and the node, and is signed: no other credential is asked for. */
export async function resume(deps: SchedulerDeps, request: TaskServiceResumeRequest): Promise<TaskServiceResumeResponse> {
  const facts = deps.resume.read(request.token);
  if (facts === undefined) throw new LonghaulError("not_found", "This is not a resume link that was made here.");
  const payload = request.payload === undefined ? null : valueToJson(request.payload);
  const key = { project: facts.project, id: facts.taskId };
  if (facts.expireTime <= deps.now()) throw new LonghaulError("expired", "The link could be used until its task's time was up.");
  const { node } = await handIn(deps, { key, to: { node: facts.node }, payload, by: byLink, late: "expired" });
  return create(TaskServiceResumeResponseSchema, { taskId: facts.taskId, node });
}

export async function createResumeLink(
  deps: SchedulerDeps,
  request: TaskServiceCreateResumeLinkRequest,
  context: HandlerContext,
): Promise<TaskServiceCreateResumeLinkResponse> {
  const project = projectOf(context);
  const { task, target, run } = await standingOf(deps, { project, id: request.id.toLowerCase() }, { node: request.node });
  checkOpen(task, target, run, deps.now(), "conflict");
  const expireTime = Math.min(task.deadline, run?.wait?.until ?? task.deadline);
  const facts = { project, taskId: task.id, node: target.node, expireTime };
  const token = resumeToken(deps.resume.keyOf(project, task.id), facts);
  return create(TaskServiceCreateResumeLinkResponseSchema, {
    token,
    url: resumeUrl(deps.publicUrl(), token),
    expireTime: timestampFromMs(expireTime),
  });
}
