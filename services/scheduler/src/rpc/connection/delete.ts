import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ConnectionServiceDeleteRequest,
  type ConnectionServiceDeleteResponse,
  ConnectionServiceDeleteResponseSchema,
} from "@longhaul/proto/connection_service";
import { projectOf } from "@longhaul/shared";
import { connectionKey, noConnection } from "../../connections/connection-record.ts";
import { removeResource } from "../../resources/change-resource.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function deleteConnection(
  deps: SchedulerDeps,
  request: ConnectionServiceDeleteRequest,
  context: HandlerContext,
): Promise<ConnectionServiceDeleteResponse> {
  const removed = await removeResource(deps.resources, connectionKey(projectOf(context), request.name));
  if (removed === undefined) throw noConnection(request.name);
  return create(ConnectionServiceDeleteResponseSchema);
}
