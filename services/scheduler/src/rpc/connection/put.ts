import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type ConnectionServicePutRequest,
  type ConnectionServicePutResponse,
  ConnectionServicePutResponseSchema,
} from "@longhaul/proto/connection_service";
import { projectOf } from "@longhaul/shared";
import { checkConnection } from "../../connections/check-connection.ts";
import { connectionKey, connectionMessage, connectionResource } from "../../connections/connection-record.ts";
import { putResource } from "../../resources/change-resource.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function put(
  deps: SchedulerDeps,
  request: ConnectionServicePutRequest,
  context: HandlerContext,
): Promise<ConnectionServicePutResponse> {
  const project = projectOf(context);
  const { connection } = request;
  if (connection === undefined) {
    throw new LonghaulError("invalid_argument", "The connection is missing.", {
      faults: [{ pointer: "/connection", message: "is required" }],
    });
  }
  const name = request.name === "" ? connection.name : request.name;
  const spec = checkConnection({ ...connection, name }, deps.box);
  const stored = await putResource(deps.resources, connectionKey(project, name), (known) =>
    connectionResource(project, name, spec, deps.now(), known),
  );
  return create(ConnectionServicePutResponseSchema, { connection: connectionMessage(stored) });
}
