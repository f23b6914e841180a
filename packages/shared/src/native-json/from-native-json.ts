import { create, type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { type FieldFault, type Json, LonghaulError } from "@longhaul/core";
import { jsonDepthFault } from "../limits/json-depth.ts";
import { type DecodeContext, decodeContext, invalid, nameOf } from "./decode-context.ts";
import { enumNames } from "./enum-names.ts";
import type { Path } from "./path.ts";
import { type Read, scalarReader } from "./scalar-readers.ts";
import { suggest } from "./suggest.ts";
import { parseDuration, parseTimestamp } from "./time.ts";
import { maxJsonDepth, setOwn, valueFromJson } from "./value.ts";

type Fields = Record<string, unknown>;

/**
 * The message that the API's JSON stands for: the reverse of `toNativeJson`, which also takes snake_case names, full enum names and proto3
 * JSON's text for whole numbers. `null` leaves a field unset, except where any JSON may stand. Throws `invalid_argument` with every fault
 * found (at most 20), each with its JSON pointer.
 */
export function fromNativeJson<Desc extends DescMessage>(desc: Desc, json: unknown): MessageShape<Desc> {
  const context = decodeContext(maxJsonDepth);
  const message = readerOf(desc)(json, context, undefined);
  if (context.faults.length > 0) throw invalidArgument(context.faults);
  return message as MessageShape<Desc>;
}

function invalidArgument(faults: readonly FieldFault[]): LonghaulError {
  const [first] = faults;
  const where = first?.pointer === "" ? "the body" : first?.pointer;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  return new LonghaulError("invalid_argument", `${where} ${first?.message}${more}`, { faults });
}

const readers = new WeakMap<DescMessage, Read>();

interface FieldReader {
  readonly field: DescField;
  /** Reads a value and puts it into the message. */
  readonly set: (message: Fields, json: unknown, context: DecodeContext, path: Path) => void;
}

function readerOf(desc: DescMessage): Read {
  const found = readers.get(desc);
  if (found) return found;
  const known = wellKnown(desc);
  if (known) {
    readers.set(desc, known);
    return known;
  }
  const byName = new Map<string, FieldReader>();
  const read: Read = (json, context, path) => {
    if (typeof json !== "object" || json === null || Array.isArray(json))
      return context.fault(path, `must be an object, is ${nameOf(json)}`);
    if (context.depth <= 0) return context.fault(path, `is nested deeper than ${maxJsonDepth} levels`);
    context.depth--;
    const message = create(desc) as unknown as Fields;
    const source = json as Fields;
    let seen: Set<DescField> | undefined;
    for (const key of Object.keys(source)) {
      const at: Path = { up: path, key };
      const reader = byName.get(key);
      if (!reader) {
        context.fault(at, unknownField(key, desc));
        if (context.isFull()) break;
        continue;
      }
      // Only a name that is written in two ways can come twice.
      if (reader.field.jsonName !== reader.field.name) {
        seen ??= new Set();
        if (seen.has(reader.field)) {
          context.fault(at, `is given twice, as ${reader.field.jsonName} and as ${reader.field.name}`);
          continue;
        }
        seen.add(reader.field);
      }
      reader.set(message, source[key], context, at);
    }
    context.depth++;
    return message;
  };
  readers.set(desc, read);
  for (const field of desc.fields) {
    const reader = { field, set: setterOf(field) };
    byName.set(field.jsonName, reader);
    byName.set(field.name, reader);
  }
  return read;
}

function unknownField(key: string, desc: DescMessage): string {
  const names = desc.fields.map((field) => field.jsonName);
  const near = suggest(key, names);
  if (near !== undefined) return `is not a known field; did you mean ${JSON.stringify(near)}?`;
  return names.length === 0
    ? "is not a known field; there are none here"
    : `is not a known field; known are ${names.slice(0, 20).join(", ")}`;
}

function setterOf(field: DescField): FieldReader["set"] {
  const { localName } = field;
  const read = singular(field);
  if (field.fieldKind === "list") {
    return (message, json, context, path) => {
      if (json === null) return;
      if (!Array.isArray(json)) return void context.fault(path, `must be a list, is ${nameOf(json)}`);
      const items: unknown[] = [];
      for (let at = 0; at < json.length && !context.isFull(); at++) items.push(read(json[at], context, { up: path, key: at }));
      message[localName] = items;
    };
  }
  if (field.fieldKind === "map") {
    const readKey = scalarReader(field.mapKey);
    return (message, json, context, path) => {
      if (json === null) return;
      if (typeof json !== "object" || Array.isArray(json))
        return void context.fault(path, `must be an object, is ${nameOf(json)}`);
      const map: Fields = {};
      for (const [key, value] of Object.entries(json)) {
        if (context.isFull()) return;
        const at: Path = { up: path, key };
        const asKey = field.mapKey === ScalarType.BOOL ? (key === "true" || key === "false" ? key === "true" : key) : key;
        if (readKey(asKey, context, at) !== invalid) setOwn(map, key, read(value, context, at));
      }
      message[localName] = map;
    };
  }
  const takesNull = field.message?.typeName === "google.protobuf.Value" || field.enum?.typeName === "google.protobuf.NullValue";
  const { oneof } = field;
  if (!oneof) {
    return (message, json, context, path) => {
      if (json === null && !takesNull) return;
      const value = read(json, context, path);
      if (value !== invalid) message[localName] = value;
    };
  }
  return (message, json, context, path) => {
    if (json === null && !takesNull) return;
    const set = message[oneof.localName] as { readonly case?: string } | undefined;
    if (set?.case !== undefined) {
      const other = oneof.fields.find((one) => one.localName === set.case)?.jsonName ?? set.case;
      return void context.fault(path, `excludes ${JSON.stringify(other)}, which is given too: give only one`);
    }
    const value = read(json, context, path);
    if (value !== invalid) message[oneof.localName] = { case: localName, value };
  };
}

/** Reads one value of a field: the field itself, an item of its list, or a value of its map. */
function singular(field: DescField): Read {
  const { message, enum: enumeration, scalar } = field;
  if (enumeration) {
    if (enumeration.typeName === "google.protobuf.NullValue")
      return (json, context, path) => (json === null ? 0 : context.fault(path, "must be null"));
    const { byName, byNumber, offered } = enumNames(enumeration);
    return (json, context, path) => {
      const number =
        typeof json === "string" ? byName.get(json) : typeof json === "number" && byNumber.has(json) ? json : undefined;
      if (number !== undefined) return number;
      const near = typeof json === "string" ? suggest(json, offered) : undefined;
      const hint = near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`;
      return context.fault(path, `must be one of ${offered.join(", ")}${hint}`);
    };
  }
  if (!message) return scalarReader(scalar ?? ScalarType.STRING);
  // In generated code a Struct field is plain JSON, and a wrapper field is the bare scalar.
  if (message.typeName === "google.protobuf.Struct" && field.parent.typeName !== "google.protobuf.Value") {
    return (json, context, path) => (checkJson(json, context, path, true) ? json : invalid);
  }
  if (isWrapperDesc(message) && field.fieldKind === "message" && !field.oneof) return scalarReader(message.fields[0].scalar);
  let read: Read | undefined;
  return (json, context, path) => {
    read ??= readerOf(message);
    return read(json, context, path);
  };
}

function wellKnown(desc: DescMessage): Read | undefined {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return (json, context, path) =>
        (typeof json === "string" ? parseTimestamp(json) : undefined) ??
        context.fault(
          path,
          `must be a time such as "2026-01-31T12:00:00Z" (RFC 3339), is ${typeof json === "string" ? "other text" : nameOf(json)}`,
        );
    case "google.protobuf.Duration":
      return (json, context, path) =>
        (typeof json === "string" ? parseDuration(json) : undefined) ??
        context.fault(
          path,
          `must be a duration in seconds such as "1.5s", is ${typeof json === "string" ? "other text" : nameOf(json)}`,
        );
    case "google.protobuf.Value":
      return (json, context, path) => (checkJson(json, context, path, false) ? valueFromJson(json, maxJsonDepth) : invalid);
    case "google.protobuf.ListValue":
      return (json, context, path) => {
        if (!Array.isArray(json)) return context.fault(path, `must be a list, is ${nameOf(json)}`);
        if (!checkJson(json, context, path, false)) return invalid;
        return { $typeName: "google.protobuf.ListValue", values: json.map((one: Json) => valueFromJson(one)) };
      };
    case "google.protobuf.Any":
      throw new Error("google.protobuf.Any has no native JSON; use a oneof");
    default:
      if (!isWrapperDesc(desc)) return undefined;
      return wrapperReader(desc);
  }
}

function wrapperReader(desc: DescMessage): Read {
  const read = scalarReader(desc.fields[0]?.scalar ?? ScalarType.STRING);
  return (json, context, path) => {
    const value = read(json, context, path);
    return value === invalid ? invalid : Object.assign(create(desc), { value });
  };
}

function checkJson(json: unknown, context: DecodeContext, path: Path | undefined, isObject: boolean): json is Json {
  if (isObject && (typeof json !== "object" || json === null || Array.isArray(json))) {
    context.fault(path, `must be an object, is ${nameOf(json)}`);
    return false;
  }
  // What came from a parser is JSON; only its depth is open. Depth counts from here, so that what is stored and answered again always fits.
  const fault = jsonDepthFault(json, maxJsonDepth);
  if (fault === undefined) return true;
  context.fault(path, fault);
  return false;
}
