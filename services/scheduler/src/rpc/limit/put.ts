import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { type FieldFault, LonghaulError, partitionOf } from "@longhaul/core";
import {
  type LimitServicePutRequest,
  type LimitServicePutResponse,
  LimitServicePutResponseSchema,
} from "@longhaul/proto/limit_service";
import { projectOf } from "@longhaul/shared";
import { isLimitKey, limitKey, maxConcurrency } from "../../limits/limit-key.ts";
import { limitMessage } from "../../limits/limit-message.ts";
import { managedSetting } from "../../limits/limit-settings.ts";
import { putResource } from "../../resources/change-resource.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function put(
  deps: SchedulerDeps,
  request: LimitServicePutRequest,
  context: HandlerContext,
): Promise<LimitServicePutResponse> {
  const project = projectOf(context);
  const { key, concurrency } = request;
  const faults: FieldFault[] = [];
  if (!isLimitKey(key)) {
    const message =
      'The key is "project", "workflow:" and the name of a workflow, or a name of 1 to 128 letters, digits, dots, dashes or underscores that begins with a letter or digit.';
    faults.push({ pointer: "/key", message });
  }
  if (concurrency < 1 || concurrency > maxConcurrency) {
    const message = `The concurrency is a number of tasks, 1 to ${maxConcurrency}.`;
    faults.push({ pointer: "/concurrency", message });
  }
  const [fault] = faults;
  if (fault !== undefined) throw new LonghaulError("invalid_argument", fault.message, { faults });

  const resource = await putResource(deps.resources, limitKey(project, key), (known) => {
    const now = deps.now();
    return {
      ...limitKey(project, key),
      partition: partitionOf(project),
      uid: known?.uid ?? randomUUID(),
      createTime: known?.createTime ?? now,
      updateTime: now,
      json: JSON.stringify({ concurrency }),
    };
  });
  await deps.limits.announce(project, key);
  const limit = await limitMessage(deps, project, key, managedSetting({ resource }), { holders: true });
  return create(LimitServicePutResponseSchema, { limit });
}
