import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError, partitionOf, type Resource, type ResourceKey } from "@longhaul/core";
import { type Connection, ConnectionSchema } from "@longhaul/proto/connection_service";

/** What somebody says about a connection, checked. */
export interface ConnectionSpec {
  readonly kind: "openai";
  /** Without a slash at its end. */
  readonly baseUrl: string;
  /** The key, sealed by the SecretBox. */
  readonly sealedApiKey?: string;
  /** Name of the secret that holds the key. */
  readonly secret?: string;
  readonly defaultModel: string;
  readonly allowedModels: readonly string[];
  /** 0 for no bound, as the next two. */
  readonly concurrency: number;
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export function connectionKey(project: string, name: string): ResourceKey {
  return { project, kind: "connection", name };
}

export function connectionOf(resource: Resource): ConnectionSpec {
  // Written by `connectionResource` and nobody else.
  const spec: ConnectionSpec = JSON.parse(resource.json);
  return spec;
}

/** The resource of a connection. A key that is stored stays where `spec` says nothing of one. */
export function connectionResource(
  project: string,
  name: string,
  spec: ConnectionSpec,
  now: number,
  known: Resource | undefined,
): Resource {
  const kept = known === undefined ? undefined : connectionOf(known).sealedApiKey;
  const keepsKey = kept !== undefined && spec.sealedApiKey === undefined && spec.secret === undefined;
  return {
    ...connectionKey(project, name),
    partition: partitionOf(project),
    uid: known?.uid ?? randomUUID(),
    createTime: known?.createTime ?? now,
    updateTime: now,
    json: JSON.stringify(keepsKey ? { ...spec, sealedApiKey: kept } : spec),
  };
}

/** A connection as callers see it: without its key. */
export function connectionMessage(resource: Resource): Connection {
  const spec = connectionOf(resource);
  return create(ConnectionSchema, {
    name: resource.name,
    kind: spec.kind,
    baseUrl: spec.baseUrl,
    secret: spec.secret ?? "",
    defaultModel: spec.defaultModel,
    allowedModels: [...spec.allowedModels],
    concurrency: spec.concurrency,
    requestsPerMinute: spec.requestsPerMinute,
    tokensPerMinute: spec.tokensPerMinute,
    headers: { ...spec.headers },
    timeout: durationFromMs(spec.timeoutMs),
    hasApiKey: spec.sealedApiKey !== undefined,
    createTime: timestampFromMs(resource.createTime),
    updateTime: timestampFromMs(resource.updateTime),
  });
}

export function noConnection(name: string): LonghaulError {
  return new LonghaulError("not_found", `There is no connection "${name}" in this project.`);
}
