import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type ScheduleServiceRunNowRequest,
  type ScheduleServiceRunNowResponse,
  ScheduleServiceRunNowResponseSchema,
} from "@longhaul/proto/schedule_service";
import { errorOfRefusal, projectOf, taskIds } from "@longhaul/shared";
import { itemOf } from "../../loops/schedules.ts";
import { withRun } from "../../schedules/run-schedule.ts";
import { scheduleKey } from "../../schedules/schedule-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { changeSchedule, noSchedule } from "./change-schedule.ts";

const newId = taskIds();

export async function runNow(
  deps: SchedulerDeps,
  request: ScheduleServiceRunNowRequest,
  context: HandlerContext,
): Promise<ScheduleServiceRunNowResponse> {
  const key = scheduleKey(projectOf(context), request.name);
  const [found] = await deps.resources.get([key]);
  if (found === undefined) throw noSchedule(request.name);
  const { result } = await deps.submit(itemOf(found.resource, newId(), deps.box));
  if (result.case === undefined) throw new LonghaulError("internal", "a submit was not answered");
  if (result.case === "refused") throw errorOfRefusal(result.value);
  const taskId = result.value.id;
  const run = { time: deps.now(), taskId, outcome: "started", reason: "" } as const;
  // The task is accepted whatever becomes of its line among the last runs: the schedule may have been deleted meanwhile.
  await changeSchedule(deps, key, (record) => withRun(record, run)).catch((why: unknown) =>
    deps.log.warn({ schedule: request.name, taskId, err: why }, "a run by hand is not listed with its schedule"),
  );
  return create(ScheduleServiceRunNowResponseSchema, { taskId });
}
