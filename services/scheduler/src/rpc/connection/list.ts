import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ConnectionServiceListRequest,
  type ConnectionServiceListResponse,
  ConnectionServiceListResponseSchema,
} from "@longhaul/proto/connection_service";
import { projectOf } from "@longhaul/shared";
import { connectionMessage } from "../../connections/connection-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 50;

export async function list(
  deps: SchedulerDeps,
  request: ConnectionServiceListRequest,
  context: HandlerContext,
): Promise<ConnectionServiceListResponse> {
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["string"]);
  const found = await deps.resources.list(projectOf(context), "connection", limit + 1, place?.[0]);
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return create(ConnectionServiceListResponseSchema, {
    connections: page.map(({ resource }) => connectionMessage(resource)),
    nextPageToken: last === undefined ? "" : pageToken([last.resource.name]),
  });
}
