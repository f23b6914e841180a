import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import {
  type SecretServicePutRequest,
  type SecretServicePutResponse,
  SecretServicePutResponseSchema,
} from "@longhaul/proto/secret_service";
import { projectOf } from "@longhaul/shared";
import { putResource } from "../../resources/change-resource.ts";
import { secretFaults, secretKey, secretMessage, secretResource } from "../../secrets/secret-record.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function put(
  deps: SchedulerDeps,
  request: SecretServicePutRequest,
  context: HandlerContext,
): Promise<SecretServicePutResponse> {
  const project = projectOf(context);
  const faults = secretFaults(request);
  if (faults.length > 0)
    throw new LonghaulError("invalid_argument", faults[0]?.message ?? "The secret is not valid.", { faults });
  const stored = await putResource(deps.resources, secretKey(project, request.name), (known) =>
    secretResource(deps.box, project, request, deps.now(), known),
  );
  return create(SecretServicePutResponseSchema, { secret: secretMessage(stored) });
}
