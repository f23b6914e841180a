import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ScheduleServicePauseRequest,
  type ScheduleServicePauseResponse,
  ScheduleServicePauseResponseSchema,
  type ScheduleServiceResumeRequest,
  type ScheduleServiceResumeResponse,
  ScheduleServiceResumeResponseSchema,
} from "@longhaul/proto/schedule_service";
import { projectOf } from "@longhaul/shared";
import { scheduleMessage } from "../../schedules/schedule-message.ts";
import { type ScheduleRecord, scheduleKey } from "../../schedules/schedule-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { changeSchedule } from "./change-schedule.ts";

export async function pause(
  deps: SchedulerDeps,
  request: ScheduleServicePauseRequest,
  context: HandlerContext,
): Promise<ScheduleServicePauseResponse> {
  const stored = await changeSchedule(deps, scheduleKey(projectOf(context), request.name), stopped);
  return create(ScheduleServicePauseResponseSchema, { schedule: scheduleMessage(stored, deps.box, deps.now()) });
}

/** Who stops it wants none of what waits either. */
function stopped({ queuedMs: _dropped, ...record }: ScheduleRecord): ScheduleRecord {
  return { ...record, paused: true };
}

export async function resume(
  deps: SchedulerDeps,
  request: ScheduleServiceResumeRequest,
  context: HandlerContext,
): Promise<ScheduleServiceResumeResponse> {
  const now = deps.now();
  const stored = await changeSchedule(deps, scheduleKey(projectOf(context), request.name), (record) =>
    record.paused ? { ...record, paused: false, anchorMs: now, lastMs: now } : record,
  );
  return create(ScheduleServiceResumeResponseSchema, { schedule: scheduleMessage(stored, deps.box, now) });
}
