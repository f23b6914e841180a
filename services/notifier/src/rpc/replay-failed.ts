import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type DeliveryServiceReplayFailedRequest,
  type DeliveryServiceReplayFailedResponse,
  DeliveryServiceReplayFailedResponseSchema,
} from "@longhaul/proto/delivery_service";
import { projectOf } from "@longhaul/shared";
import type { NotifierRpcDeps } from "./deps.ts";
import { taskIdOf } from "./task-id.ts";

const maxReplayed = 500;
const atOnce = 50;

/** Sends exhausted deliveries again, each with a fresh set of attempts. What somebody else replays meanwhile is left to them. */
export async function replayFailed(
  deps: NotifierRpcDeps,
  request: DeliveryServiceReplayFailedRequest,
  context: HandlerContext,
): Promise<DeliveryServiceReplayFailedResponse> {
  const project = projectOf(context);
  const found = await exhausted(deps, project, request.taskId);
  const ids = found.slice(0, maxReplayed);
  let replayed = 0;
  for (let i = 0; i < ids.length; i += atOnce) {
    const done = await Promise.all(ids.slice(i, i + atOnce).map((id) => replayOne(deps, project, id)));
    replayed += done.filter(Boolean).length;
  }
  return create(DeliveryServiceReplayFailedResponseSchema, { replayed, more: found.length > maxReplayed });
}

/** One more than are replayed says whether there are more. */
async function exhausted({ store }: NotifierRpcDeps, project: string, taskId: string): Promise<readonly string[]> {
  if (taskId === "") return store.listExhausted(project, maxReplayed + 1);
  // A task has one delivery for each event that it can end with.
  const all = await store.listByTask(project, taskIdOf(taskId), maxReplayed + 1);
  return all.filter(({ state }) => state === "exhausted").map(({ id }) => id);
}

async function replayOne({ sender }: NotifierRpcDeps, project: string, id: string): Promise<boolean> {
  try {
    await sender.replay(project, id);
    return true;
  } catch (why) {
    if (why instanceof LonghaulError && (why.code === "conflict" || why.code === "delivery_not_found")) return false;
    throw why;
  }
}
