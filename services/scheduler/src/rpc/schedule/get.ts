import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ScheduleServiceGetRequest,
  type ScheduleServiceGetResponse,
  ScheduleServiceGetResponseSchema,
} from "@longhaul/proto/schedule_service";
import { projectOf } from "@longhaul/shared";
import { scheduleMessage } from "../../schedules/schedule-message.ts";
import { scheduleKey } from "../../schedules/schedule-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { noSchedule } from "./change-schedule.ts";

export async function get(
  deps: SchedulerDeps,
  request: ScheduleServiceGetRequest,
  context: HandlerContext,
): Promise<ScheduleServiceGetResponse> {
  const [found] = await deps.resources.get([scheduleKey(projectOf(context), request.name)]);
  if (found === undefined) throw noSchedule(request.name);
  return create(ScheduleServiceGetResponseSchema, { schedule: scheduleMessage(found.resource, deps.box, deps.now()) });
}
