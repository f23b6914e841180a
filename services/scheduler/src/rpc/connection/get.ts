import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ConnectionServiceGetRequest,
  type ConnectionServiceGetResponse,
  ConnectionServiceGetResponseSchema,
} from "@longhaul/proto/connection_service";
import { projectOf } from "@longhaul/shared";
import { connectionKey, connectionMessage, noConnection } from "../../connections/connection-record.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function get(
  deps: SchedulerDeps,
  request: ConnectionServiceGetRequest,
  context: HandlerContext,
): Promise<ConnectionServiceGetResponse> {
  const [found] = await deps.resources.get([connectionKey(projectOf(context), request.name)]);
  if (found === undefined) throw noConnection(request.name);
  return create(ConnectionServiceGetResponseSchema, { connection: connectionMessage(found.resource) });
}
