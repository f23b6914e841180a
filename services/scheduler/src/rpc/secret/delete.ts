import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SecretServiceDeleteRequest,
  type SecretServiceDeleteResponse,
  SecretServiceDeleteResponseSchema,
} from "@longhaul/proto/secret_service";
import { projectOf } from "@longhaul/shared";
import { removeResource } from "../../resources/change-resource.ts";
import { noSecret, secretKey } from "../../secrets/secret-record.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function deleteSecret(
  deps: SchedulerDeps,
  request: SecretServiceDeleteRequest,
  context: HandlerContext,
): Promise<SecretServiceDeleteResponse> {
  const removed = await removeResource(deps.resources, secretKey(projectOf(context), request.name));
  if (removed === undefined) throw noSecret(request.name);
  return create(SecretServiceDeleteResponseSchema);
}
