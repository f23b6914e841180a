import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type LimitServiceListRequest,
  type LimitServiceListResponse,
  LimitServiceListResponseSchema,
} from "@longhaul/proto/limit_service";
import { projectOf } from "@longhaul/shared";
import { workflowKey, workflowOf } from "../../limits/limit-key.ts";
import { limitMessage } from "../../limits/limit-message.ts";
import { managedSetting, type Setting } from "../../limits/limit-settings.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 50;
const headBatch = 200;

type Entry = readonly [key: string, setting: Setting];

export async function list(
  deps: SchedulerDeps,
  request: LimitServiceListRequest,
  context: HandlerContext,
): Promise<LimitServiceListResponse> {
  const project = projectOf(context);
  const limit = pageSize(request.pageSize, defaultPageSize);
  const after = parsePageToken(request.pageToken, ["string"])?.[0];
  const stored = await deps.resources.list(project, "limit", limit + 1, after);
  const managed = stored.map((one): Entry => [one.resource.name, managedSetting(one)]);
  // What is stored overrides what the definition says, and is shown in its place.
  const entries = new Map([...(await definedBehind(deps, project, limit + 1, after)), ...managed]);
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  const page = sorted.slice(0, limit);
  const last = sorted.length > limit ? page.at(-1) : undefined;
  return create(LimitServiceListResponseSchema, {
    limits: await Promise.all(page.map(([key, setting]) => limitMessage(deps, project, key, setting, { holders: false }))),
    nextPageToken: last === undefined ? "" : pageToken([last[0]]),
  });
}

/** Limits that definitions bring, those that are overridden included. */
async function definedBehind(
  deps: SchedulerDeps,
  project: string,
  limit: number,
  after: string | undefined,
): Promise<readonly Entry[]> {
  const found: Entry[] = [];
  // Keys of workflows begin alike: the place in the list lies before them all, among them or behind them.
  let name = after === undefined ? undefined : workflowOf(after);
  if (after !== undefined && name === undefined && after > workflowKey("")) return found;
  for (;;) {
    const heads = await deps.catalogStore.listHeads(project, headBatch, name);
    for (const head of heads) {
      const key = workflowKey(head.name);
      const setting = await deps.limitSettings.settingOf(project, key);
      if (setting !== undefined) found.push([key, setting]);
      if (found.length === limit) return found;
    }
    name = heads.at(-1)?.name;
    if (name === undefined || heads.length < headBatch) return found;
  }
}
