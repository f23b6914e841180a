import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type LimitServiceGetRequest,
  type LimitServiceGetResponse,
  LimitServiceGetResponseSchema,
} from "@longhaul/proto/limit_service";
import { projectOf } from "@longhaul/shared";
import { isLimitKey } from "../../limits/limit-key.ts";
import { limitMessage } from "../../limits/limit-message.ts";
import type { SchedulerDeps } from "../deps.ts";

export function noLimit(key: string): LonghaulError {
  return new LonghaulError("not_found", `There is no limit "${key.slice(0, 200)}" in this project.`);
}

export async function get(
  deps: SchedulerDeps,
  request: LimitServiceGetRequest,
  context: HandlerContext,
): Promise<LimitServiceGetResponse> {
  const project = projectOf(context);
  const { key } = request;
  const setting = isLimitKey(key) ? await deps.limitSettings.settingOf(project, key) : undefined;
  if (setting === undefined) throw noLimit(key);
  const limit = await limitMessage(deps, project, key, setting, { holders: true });
  return create(LimitServiceGetResponseSchema, { limit });
}
