import { type DescField, type DescMessage, isMessage, type Message, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { type Duration, isWrapperDesc, type ListValue, type Struct, type Timestamp, type Value } from "@bufbuild/protobuf/wkt";
import type { Json } from "@longhaul/core";
import { enumNames } from "./enum-names.ts";
import { durationText, timestampText } from "./time.ts";
import { setOwn, valueToJson } from "./value.ts";

type Fields = Readonly<Record<string, unknown>>;
type Encode = (value: unknown) => Json;
type Write = (message: Fields, out: Record<string, Json>) => void;

const encoders = new WeakMap<DescMessage, Encode>();

/**
 * A message as the API's JSON: proto3 JSON in lowerCamelCase, except that enum values are short and lower-case, zero values are written, 64-bit
 * integers are numbers and times have milliseconds. Fields that know presence are left out when they are not set.
 */
export function toNativeJson<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): Json {
  return encoderOf(desc)(message);
}

function encoderOf(desc: DescMessage): Encode {
  const found = encoders.get(desc);
  if (found) return found;
  const known = wellKnown(desc);
  if (known) {
    encoders.set(desc, known);
    return known;
  }
  const writers: Write[] = [];
  const encode: Encode = (message) => {
    const out: Record<string, Json> = {};
    for (const write of writers) write(message as Fields, out);
    return out;
  };
  // Registered before its fields are looked at, because a message may hold itself.
  encoders.set(desc, encode);
  for (const member of desc.members) {
    if (member.kind === "field") writers.push(writerOf(member));
    else {
      const cases = new Map(member.fields.map((field) => [field.localName, { name: field.jsonName, encode: singular(field) }]));
      const { localName } = member;
      writers.push((message, out) => {
        const set = message[localName] as { readonly case?: string; readonly value?: unknown };
        const field = set.case === undefined ? undefined : cases.get(set.case);
        if (field) out[field.name] = field.encode(set.value);
      });
    }
  }
  return encode;
}

function writerOf(field: DescField): Write {
  const { localName, jsonName } = field;
  switch (field.fieldKind) {
    case "list": {
      const encode = singular(field);
      return (message, out) => {
        out[jsonName] = (message[localName] as readonly unknown[]).map(encode);
      };
    }
    case "map": {
      const encode = singular(field);
      return (message, out) => {
        const map = message[localName] as Fields;
        const json: Record<string, Json> = {};
        for (const key of Object.keys(map)) setOwn(json, key, encode(map[key]));
        out[jsonName] = json;
      };
    }
    default: {
      const encode = singular(field);
      return (message, out) => {
        const value = message[localName];
        if (value !== undefined) out[jsonName] = encode(value);
      };
    }
  }
}

/** Encodes one value of a field: the field itself, an item of its list, or a value of its map. */
function singular(field: DescField): Encode {
  const { message, enum: enumeration, scalar } = field;
  if (enumeration) {
    if (enumeration.typeName === "google.protobuf.NullValue") return () => null;
    const { byNumber } = enumNames(enumeration);
    return (value) => byNumber.get(value as number) ?? (value as number);
  }
  if (!message) return scalarEncoder(scalar ?? ScalarType.STRING);
  // In generated code a Struct field is plain JSON, and a wrapper field is the bare scalar.
  if (message.typeName === "google.protobuf.Struct")
    return (value) => (isMessage(value) ? structJson(value as Struct) : (value as Json));
  if (isWrapperDesc(message)) {
    const encode = scalarEncoder(message.fields[0].scalar);
    return (value) => encode(isMessage(value) ? (value as Message & { readonly value: unknown }).value : value);
  }
  // Looked up at the first use, because the message may not be known yet while its own encoder is made.
  let encode: Encode | undefined;
  return (value) => {
    encode ??= encoderOf(message);
    return encode(value);
  };
}

function scalarEncoder(type: ScalarType): Encode {
  switch (type) {
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return (value) => Number(value);
    case ScalarType.BYTES:
      return (value) => Buffer.from(value as Uint8Array).toString("base64");
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return (value) => (Number.isFinite(value) ? (value as number) : String(value));
    default:
      return (value) => value as Json;
  }
}

function wellKnown(desc: DescMessage): Encode | undefined {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return (value) => timestampText(value as Timestamp);
    case "google.protobuf.Duration":
      return (value) => durationText(value as Duration);
    case "google.protobuf.Value":
      return (value) => valueToJson(value as Value);
    case "google.protobuf.ListValue":
      return (value) => (value as ListValue).values.map((item) => valueToJson(item));
    case "google.protobuf.Struct":
      return (value) => structJson(value as Struct);
    case "google.protobuf.Any":
      throw new Error("google.protobuf.Any has no native JSON; use a oneof");
    default:
      return undefined;
  }
}

function structJson(struct: Struct): Json {
  return valueToJson({ $typeName: "google.protobuf.Value", kind: { case: "structValue", value: struct } });
}
