import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type TaskServiceSignalRequest,
  type TaskServiceSignalResponse,
  TaskServiceSignalResponseSchema,
} from "@longhaul/proto/task_service";
import { projectOf, valueToJson } from "@longhaul/shared";
import { handIn } from "../../tasks/hand-in.ts";
import { showTask } from "../../tasks/read-tasks.ts";
import type { SchedulerDeps } from "../deps.ts";

const maxBy = 200;

export async function signal(
  deps: SchedulerDeps,
  request: TaskServiceSignalRequest,
  context: HandlerContext,
): Promise<TaskServiceSignalResponse> {
  const project = projectOf(context);
  const { name, node, by } = request;
  if ((name === "") === (node === "")) {
    const message = "Say which node the signal is for: by the signal's `name`, or by the path of its `node`.";
    throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: name === "" ? "/name" : "/node", message }] });
  }
  if (by.length > maxBy) {
    const message = `More than ${maxBy} characters.`;
    throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/by", message }] });
  }
  const { task } = await handIn(deps, {
    key: { project, id: request.id.toLowerCase() },
    to: node === "" ? { name } : { node },
    payload: request.payload === undefined ? null : valueToJson(request.payload),
    by,
    late: "conflict",
  });
  return create(TaskServiceSignalResponseSchema, { task: await showTask(deps.payloads, task) });
}
