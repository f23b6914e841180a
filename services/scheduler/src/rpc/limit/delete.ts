import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type LimitServiceDeleteRequest,
  type LimitServiceDeleteResponse,
  LimitServiceDeleteResponseSchema,
} from "@longhaul/proto/limit_service";
import { projectOf } from "@longhaul/shared";
import { isLimitKey, limitKey } from "../../limits/limit-key.ts";
import { removeResource } from "../../resources/change-resource.ts";
import type { SchedulerDeps } from "../deps.ts";
import { noLimit } from "./get.ts";

export async function deleteLimit(
  deps: SchedulerDeps,
  request: LimitServiceDeleteRequest,
  context: HandlerContext,
): Promise<LimitServiceDeleteResponse> {
  const project = projectOf(context);
  const { key } = request;
  const removed = isLimitKey(key) ? await removeResource(deps.resources, limitKey(project, key)) : undefined;
  if (removed === undefined) {
    if (!isLimitKey(key) || (await deps.limitSettings.settingOf(project, key)) === undefined) throw noLimit(key);
    const message = `Limit "${key}" is in the workflow's definition; put the workflow without limits.concurrency to be rid of it.`;
    throw new LonghaulError("not_found", message);
  }
  await deps.limits.announce(project, key);
  return create(LimitServiceDeleteResponseSchema);
}
