import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { isMessage } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { LonghaulError } from "@longhaul/core";
import { toNativeJson } from "@longhaul/shared";
import type { HeaderReader } from "../auth/api-keys.ts";
import { entityTag, highestVersion, matchesNone, readIfNoneMatch } from "./entity-tag.ts";
import { readPreferWait } from "./prefer.ts";
import type { HttpRoute } from "./route-table.ts";

/** A success, ready to be written. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** The HTTP form of a method's response, as its `http_dress` says. */
export function writeAnswer(route: HttpRoute, response: Message, header: HeaderReader): Answer {
  const { method, dress, verb } = route;
  const isRead = verb === "GET";
  const headers: Record<string, string> = isRead ? { "cache-control": "private, no-cache" } : { "cache-control": "no-store" };
  const wait = fieldNamed(method.input, "wait") ? readPreferWait(header("prefer")) : undefined;
  if (wait !== undefined) headers["preference-applied"] = `wait=${wait}`;
  const noneMatch = isRead ? readIfNoneMatch(header("if-none-match")) : undefined;

  if (flagOf(method.output, response, "unchanged")) {
    const known = highestVersion(noneMatch);
    if (known !== undefined) headers["etag"] = entityTag(known);
    return { status: 304, headers, body: undefined };
  }
  if (flagOf(method.output, response, "replayed")) headers["idempotent-replayed"] = "true";

  const { desc, message } = bodyOf(route, response);
  if (dress.etag !== "") {
    const version = textOf(desc, message, dress.etag);
    headers["etag"] = entityTag(version);
    if (noneMatch !== undefined && matchesNone(noneMatch, version)) return { status: 304, headers, body: undefined };
  }
  if (dress.location !== "") {
    headers["location"] = `/v1/tasks/${textOf(desc, message, dress.location)}`;
    headers["retry-after"] = "1";
  }
  const status = dress.status || 200;
  if (status === 204) return { status, headers, body: undefined };
  headers["content-type"] = "application/json";
  return { status, headers, body: JSON.stringify(toNativeJson(desc, message)) };
}

function bodyOf({ method, dress }: HttpRoute, response: Message): { readonly desc: DescMessage; readonly message: Message } {
  if (dress.responseBody === "") return { desc: method.output, message: response };
  const field = fieldNamed(method.output, dress.responseBody);
  const message: unknown = field && Reflect.get(response, field.localName);
  if (field?.fieldKind !== "message" || !isMessage(message)) {
    throw new LonghaulError("internal", `${method.output.typeName} came without ${dress.responseBody}`);
  }
  return { desc: field.message, message };
}

function fieldNamed(desc: DescMessage, name: string): DescField | undefined {
  return desc.fields.find((field) => field.name === name);
}

function flagOf(desc: DescMessage, message: Message, name: string): boolean {
  const field = fieldNamed(desc, name);
  return field !== undefined && reflect(desc, message).get(field) === true;
}

function textOf(desc: DescMessage, message: Message, name: string): string {
  const field = fieldNamed(desc, name);
  if (!field) throw new LonghaulError("internal", `${desc.typeName} has no field ${name}`);
  return String(reflect(desc, message).get(field));
}
