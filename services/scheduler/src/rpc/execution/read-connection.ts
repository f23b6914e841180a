import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ExecutionServiceReadConnectionRequest,
  type ExecutionServiceReadConnectionResponse,
  ExecutionServiceReadConnectionResponseSchema,
} from "@longhaul/proto/execution_service";
import { type ConnectionSpec, connectionKey, connectionOf, noConnection } from "../../connections/connection-record.ts";
import { openSecrets } from "../../secrets/secret-record.ts";
import { heldTask } from "../../tasks/held-task.ts";
import type { SchedulerDeps } from "../deps.ts";

export async function readConnection(
  deps: SchedulerDeps,
  request: ExecutionServiceReadConnectionRequest,
): Promise<ExecutionServiceReadConnectionResponse> {
  const { project } = await heldTask(deps, request.hold, request.executor);
  const [found] = await deps.resources.get([connectionKey(project, request.name)]);
  if (found === undefined) throw noConnection(request.name);
  const spec = connectionOf(found.resource);
  return create(ExecutionServiceReadConnectionResponseSchema, {
    name: found.resource.name,
    kind: spec.kind,
    baseUrl: spec.baseUrl,
    ...(await keyOf(deps, project, spec)),
    defaultModel: spec.defaultModel,
    allowedModels: [...spec.allowedModels],
    concurrency: spec.concurrency,
    requestsPerMinute: spec.requestsPerMinute,
    tokensPerMinute: spec.tokensPerMinute,
    headers: { ...spec.headers },
    timeout: durationFromMs(spec.timeoutMs),
  });
}

async function keyOf(
  deps: SchedulerDeps,
  project: string,
  { sealedApiKey, secret }: ConnectionSpec,
): Promise<{ readonly apiKey?: string; readonly missingSecret?: string }> {
  if (sealedApiKey !== undefined) return { apiKey: deps.box.open(sealedApiKey) };
  if (secret === undefined) return {};
  const apiKey = (await openSecrets(deps, project, [secret]))[secret];
  return apiKey === undefined ? { missingSecret: secret } : { apiKey };
}
