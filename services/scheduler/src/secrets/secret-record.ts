import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type FieldFault, LonghaulError, partitionOf, type Resource, type ResourceKey, type ResourceStore } from "@longhaul/core";
import { type Secret, SecretSchema } from "@longhaul/proto/secret_service";
import type { SecretBox } from "@longhaul/shared";

/** A secret as it lies in its resource. */
interface SecretRecord {
  /** The value, sealed by the SecretBox. */
  readonly sealed: string;
  readonly description: string;
}

/** Such names work in expressions, as `secrets.NAME`. */
export const secretName = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
export const secretNameRule = 'A secret\'s name is 1 to 128 of A-Z, a-z, 0-9 and "_", and does not begin with a digit.';
const maxValueBytes = 32_768;
const maxDescription = 1_024;

export function secretKey(project: string, name: string): ResourceKey {
  return { project, kind: "secret", name };
}

/** What is wrong with a secret to store. Says nothing of the value but its size. */
export function secretFaults({
  name,
  value,
  description,
}: Readonly<Record<"name" | "value" | "description", string>>): FieldFault[] {
  const faults: FieldFault[] = [];
  if (!secretName.test(name)) faults.push({ pointer: "/name", message: secretNameRule });
  if (value === "") faults.push({ pointer: "/value", message: "A secret needs a value; DELETE removes one." });
  const bytes = Buffer.byteLength(value);
  if (bytes > maxValueBytes)
    faults.push({ pointer: "/value", message: `A value has at most ${maxValueBytes} bytes; this one has ${bytes}.` });
  if (description.length > maxDescription)
    faults.push({ pointer: "/description", message: `A description has at most ${maxDescription} characters.` });
  return faults;
}

/** The resource of a secret with a new value. */
export function secretResource(
  box: SecretBox,
  project: string,
  given: { readonly name: string; readonly value: string; readonly description: string },
  now: number,
  known: Resource | undefined,
): Resource {
  const record: SecretRecord = { sealed: box.seal(given.value), description: given.description };
  return {
    ...secretKey(project, given.name),
    partition: partitionOf(project),
    uid: known?.uid ?? randomUUID(),
    createTime: known?.createTime ?? now,
    updateTime: now,
    json: JSON.stringify(record),
  };
}

/** A secret as callers see it: everything but its value. */
export function secretMessage(resource: Resource): Secret {
  return create(SecretSchema, {
    name: resource.name,
    description: recordOf(resource).description,
    createTime: timestampFromMs(resource.createTime),
    updateTime: timestampFromMs(resource.updateTime),
  });
}

/** Values by name, in clear; those that do not exist are absent. For executors only. */
export async function openSecrets(
  deps: { readonly resources: Pick<ResourceStore, "get">; readonly box: SecretBox },
  project: string,
  names: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const found = await deps.resources.get(names.map((name) => secretKey(project, name)));
  const opened = found.flatMap((stored): [string, string][] =>
    stored === undefined ? [] : [[stored.resource.name, deps.box.open(recordOf(stored.resource).sealed)]],
  );
  return Object.fromEntries(opened);
}

export function noSecret(name: string): LonghaulError {
  return new LonghaulError("not_found", `There is no secret "${name}" in this project.`);
}

function recordOf(resource: Resource): SecretRecord {
  // Written by `secretResource` and nobody else.
  const record: SecretRecord = JSON.parse(resource.json);
  return record;
}
