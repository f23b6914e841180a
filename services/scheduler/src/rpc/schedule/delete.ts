import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type ScheduleServiceDeleteRequest,
  type ScheduleServiceDeleteResponse,
  ScheduleServiceDeleteResponseSchema,
} from "@longhaul/proto/schedule_service";
import { projectOf } from "@longhaul/shared";
import { scheduleKey } from "../../schedules/schedule-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { noSchedule } from "./change-schedule.ts";

const maxRounds = 16;

export async function deleteSchedule(
  deps: SchedulerDeps,
  request: ScheduleServiceDeleteRequest,
  context: HandlerContext,
): Promise<ScheduleServiceDeleteResponse> {
  const key = scheduleKey(projectOf(context), request.name);
  for (let round = 0; round < maxRounds; round++) {
    const [found] = await deps.resources.get([key]);
    if (found === undefined) throw noSchedule(request.name);
    if ((await deps.resources.remove(key, found.rev)) === "removed") return create(ScheduleServiceDeleteResponseSchema);
  }
  throw new LonghaulError("conflict", `Schedule "${request.name}" kept changing; try again.`);
}
