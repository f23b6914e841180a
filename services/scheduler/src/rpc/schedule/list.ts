import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ScheduleServiceListRequest,
  type ScheduleServiceListResponse,
  ScheduleServiceListResponseSchema,
} from "@longhaul/proto/schedule_service";
import { projectOf } from "@longhaul/shared";
import { scheduleMessage } from "../../schedules/schedule-message.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 50;

export async function list(
  deps: SchedulerDeps,
  request: ScheduleServiceListRequest,
  context: HandlerContext,
): Promise<ScheduleServiceListResponse> {
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["string"]);
  const found = await deps.resources.list(projectOf(context), "schedule", limit + 1, place?.[0]);
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  const now = deps.now();
  return create(ScheduleServiceListResponseSchema, {
    schedules: page.map(({ resource }) => scheduleMessage(resource, deps.box, now)),
    nextPageToken: last === undefined ? "" : pageToken([last.resource.name]),
  });
}
