import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type ScheduleServicePutRequest,
  type ScheduleServicePutResponse,
  ScheduleServicePutResponseSchema,
} from "@longhaul/proto/schedule_service";
import { projectOf } from "@longhaul/shared";
import { checkSchedule } from "../../schedules/check-schedule.ts";
import { scheduleMessage } from "../../schedules/schedule-message.ts";
import { recordOf, resourceOf, type ScheduleRecord, scheduleKey } from "../../schedules/schedule-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { changeSchedule } from "./change-schedule.ts";

export async function put(
  deps: SchedulerDeps,
  request: ScheduleServicePutRequest,
  context: HandlerContext,
): Promise<ScheduleServicePutResponse> {
  const project = projectOf(context);
  const { schedule } = request;
  if (schedule === undefined) {
    throw new LonghaulError("invalid_argument", "The schedule is missing.", {
      faults: [{ pointer: "/schedule", message: "is required" }],
    });
  }
  const name = request.name === "" ? schedule.name : request.name;
  const spec = await checkSchedule(deps, project, { ...schedule, name });
  const now = deps.now();
  const fresh: ScheduleRecord = { ...spec, anchorMs: now, lastMs: now, runs: [] };
  const made = resourceOf({ project, name, uid: randomUUID(), createTime: now, updateTime: now }, fresh, now);
  const isNew = (await deps.resources.insert(made)) === "inserted";
  const stored = isNew
    ? made
    : await changeSchedule(deps, scheduleKey(project, name), (record) => ({
        ...fresh,
        runs: record.runs,
        ...(record.lastTaskId === undefined ? {} : { lastTaskId: record.lastTaskId }),
      }));
  if (isNew) deps.schedules.announce(made);
  return create(ScheduleServicePutResponseSchema, { schedule: scheduleMessage(stored, deps.box, recordOf(stored).lastMs) });
}
