import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SecretServiceListRequest,
  type SecretServiceListResponse,
  SecretServiceListResponseSchema,
} from "@longhaul/proto/secret_service";
import { projectOf } from "@longhaul/shared";
import { secretMessage } from "../../secrets/secret-record.ts";
import type { SchedulerDeps } from "../deps.ts";
import { pageSize, pageToken, parsePageToken } from "../page-token.ts";

const defaultPageSize = 50;

export async function list(
  deps: SchedulerDeps,
  request: SecretServiceListRequest,
  context: HandlerContext,
): Promise<SecretServiceListResponse> {
  const limit = pageSize(request.pageSize, defaultPageSize);
  const place = parsePageToken(request.pageToken, ["string"]);
  const found = await deps.resources.list(projectOf(context), "secret", limit + 1, place?.[0]);
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return create(SecretServiceListResponseSchema, {
    secrets: page.map(({ resource }) => secretMessage(resource)),
    nextPageToken: last === undefined ? "" : pageToken([last.resource.name]),
  });
}
