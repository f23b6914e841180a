import { create } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import {
  type ExecutionServiceReadPayloadRequest,
  type ExecutionServiceReadPayloadResponse,
  ExecutionServiceReadPayloadResponseSchema,
} from "@longhaul/proto/execution_service";
import { isSealedKey, openJson } from "../../tasks/sealed-values.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function readPayload(
  deps: SchedulerDeps,
  request: ExecutionServiceReadPayloadRequest,
): Promise<ExecutionServiceReadPayloadResponse> {
  const [json] = await deps.payloads.get([request.key]);
  if (json === undefined) throw new LonghaulError("not_found", "There is no value under this key.");
  return create(ExecutionServiceReadPayloadResponseSchema, {
    json: Buffer.from(isSealedKey(request.key) ? openJson(deps.box, json) : json),
  });
}
