import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type FieldFault, type Json, LonghaulError } from "@longhaul/core";
import { fromNativeJson, oneIdempotencyKey } from "@longhaul/shared";
import type { HeaderReader } from "../auth/api-keys.ts";
import { highestVersion, readIfNoneMatch } from "./entity-tag.ts";
import { readPreferWait } from "./prefer.ts";
import { readQuery, readScalar } from "./query.ts";
import type { HttpRoute } from "./route-table.ts";
import type { SentBody } from "./sent-body.ts";

/** What of an HTTP request makes up the message. */
export interface RawRequest {
  /** Decoded values of the path's parameters. */
  readonly params: Readonly<Record<string, string>>;
  /** Behind the `?`, undecoded. */
  readonly query: string;
  readonly body: SentBody | undefined;
  readonly header: HeaderReader;
}

type Fields = Record<string, Json>;

/**
 * Makes a method's request from an HTTP request: path, query and body as `google.api.http` says, and the headers that stand for fields:
 * `Prefer: wait` for `wait`, `If-None-Match` for `if_none_match`, `Idempotency-Key` for `request_id`, `Last-Event-ID` for `last_event_id`.
 * Throws `invalid_argument`.
 */
export function readRequest(route: HttpRoute, raw: RawRequest): Message {
  const { input } = route.method;
  const fields = { ...readBody(route, raw), ...readPath(route, raw) };
  readHeaders(input, raw.header, fields);
  try {
    return fromNativeJson(input, fields);
  } catch (error) {
    throw relativeToBody(route, error);
  }
}

function readBody(route: HttpRoute, { query, body }: RawRequest): Fields {
  const { input } = route.method;
  const inPath = new Set(route.path.params);
  switch (route.body.kind) {
    case "none":
      return readQuery(input, query, inPath);
    case "field": {
      const { field } = route.body;
      const fields = readQuery(input, query, new Set([...inPath, field.name]));
      // A field for any JSON takes any body, and none at all.
      if (isAnyJson(field)) return body === undefined ? fields : { ...fields, [field.jsonName]: body.value };
      if (body === undefined) throw new LonghaulError("invalid_argument", `the body is missing: it is the ${field.name} itself`);
      if (field.scalar === ScalarType.STRING) return { ...fields, [field.jsonName]: textOf(body) };
      if (!isObject(body.value)) throw notAnObject();
      return { ...fields, [field.jsonName]: body.value };
    }
    case "all":
      // Everything that is not in the path is in the body, so that no query parameter is known.
      readQuery(input, query, new Set(input.fields.map((field) => field.name)));
      if (body === undefined) return {};
      if (!isObject(body.value)) throw notAnObject();
      return { ...body.value };
  }
}

function isAnyJson(field: DescField): boolean {
  return field.message?.typeName === "google.protobuf.Value";
}

/** A body that stands for one text: a string, or the document itself as it was sent. */
function textOf({ bytes, value }: SentBody): string {
  return typeof value === "string" ? value : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

function readPath(route: HttpRoute, { params, body }: RawRequest): Fields {
  const fields: Fields = {};
  for (const name of route.path.params) {
    const field = route.method.input.fields.find((one) => one.name === name);
    const text = params[name];
    if (!field || text === undefined) throw new LonghaulError("internal", `the router gave no ${name}`);
    if (text.includes("\0")) throw new LonghaulError("invalid_argument", `${field.jsonName} in the path holds a NUL`);
    const value = readScalar(field, field.jsonName, text);
    if (route.body.kind === "all" && isObject(body?.value)) {
      for (const key of new Set([field.name, field.jsonName])) {
        const said = Object.hasOwn(body.value, key) ? body.value[key] : undefined;
        if (said === undefined || said === value) continue;
        throw new LonghaulError("invalid_argument", `${field.jsonName} in the body differs from the one in the path`, {
          faults: [{ pointer: `/${key}`, message: "differs from the path; leave it out" }],
        });
      }
      // Both spellings at once would be one field given twice.
      if (field.name !== field.jsonName && Object.hasOwn(body.value, field.name)) continue;
    }
    fields[field.jsonName] = value;
  }
  return fields;
}

function readHeaders(input: DescMessage, header: HeaderReader, fields: Fields): void {
  for (const { name, jsonName } of input.fields) {
    switch (name) {
      case "wait": {
        const seconds = readPreferWait(header("prefer"));
        // `If-None-Match: *` matches whatever there is: nothing to wait for.
        if (seconds !== undefined && readIfNoneMatch(header("if-none-match")) !== "*") fields[jsonName] = `${seconds}s`;
        break;
      }
      case "if_none_match": {
        const version = highestVersion(readIfNoneMatch(header("if-none-match")));
        if (version !== undefined) fields[jsonName] = version.toString();
        break;
      }
      case "request_id": {
        const said = fields[jsonName] ?? fields[name];
        const key = oneIdempotencyKey(header("idempotency-key"), typeof said === "string" ? said : "");
        if (key !== "" && said === undefined) fields[jsonName] = key;
        break;
      }
      case "last_event_id": {
        const last = header("last-event-id");
        if (last !== undefined && last !== "") fields[jsonName] = last;
        break;
      }
    }
  }
}

/** Makes pointers into the message pointers into the body, where the body is only one field of it. */
export function relativeToBody({ body }: HttpRoute, error: unknown): unknown {
  if (body.kind !== "field") return error;
  const prefix = `/${body.field.jsonName}`;
  if (!(error instanceof LonghaulError) || error.faults.length === 0) return error;
  const faults = error.faults.map(
    (fault): FieldFault =>
      fault.pointer === prefix || fault.pointer.startsWith(`${prefix}/`)
        ? { ...fault, pointer: fault.pointer.slice(prefix.length) }
        : fault,
  );
  return new LonghaulError(error.code, error.message, { cause: error, faults });
}

export function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function notAnObject(): LonghaulError {
  return new LonghaulError("invalid_argument", "the body must be an object, not another kind of value", {
    faults: [{ pointer: "", message: "must be an object" }],
  });
}
