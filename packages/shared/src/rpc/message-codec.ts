import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonObject,
  type Message,
  type MessageShape,
  ScalarType,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { isWrapperDesc, StructSchema, type Timestamp, ValueSchema } from "@bufbuild/protobuf/wkt";
import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

/** Writes and reads messages of one type as protobuf's binary form. */
export interface MessageCodec {
  encode(message: Message): Buffer;
  /** Passes over what it does not know. `bytes` fields are views of `data`. Throws an Error for what is no such message. */
  decode(data: Buffer): Message;
}

/** A message as its fields, by their local names. */
type Fields = Record<string, unknown>;
type WriteField = (out: WireWriter, message: Fields) => void;
type ReadField = (from: WireReader, message: Fields, wire: number, depth: number) => void;
type WriteValue = (out: WireWriter, value: unknown) => void;
type ReadValue = (from: WireReader, depth: number) => unknown;

/** What a descriptor says, as functions. */
interface Plan {
  readonly zero: () => Fields;
  readonly writers: readonly WriteField[];
  /** By field number. */
  readonly readers: readonly (ReadField | undefined)[];
}

/** A level of JSON in a Value costs two levels of messages; 64 levels of JSON must fit. */
export const messageDepth = 200;

const codecs = new WeakMap<DescMessage, MessageCodec>();

/**
 * The codec of a message type: writes and reads what `toBinary` and `fromBinary` of protobuf-es do, in a fraction of the time, because it
 * looks at a descriptor once and not for every message. A type with anything that our messages do not use (see `isPlain`) is left to
 * protobuf-es.
 */
export function codecOf(type: DescMessage): MessageCodec {
  const known = codecs.get(type);
  if (known !== undefined) return known;
  const made = isPlain(type, new Set()) ? plainCodec(type) : libraryCodec(type);
  codecs.set(type, made);
  return made;
}

function libraryCodec(type: DescMessage): MessageCodec {
  return {
    encode: (message) => Buffer.from(toBinary(type, message)),
    decode: (data) => fromBinary(type, data, { recursionLimit: messageDepth, readUnknownFields: false }),
  };
}

/** Nothing is awaited while a message is written, so one is enough. */
const out = new WireWriter();

function plainCodec(type: DescMessage): MessageCodec {
  const plan = planOf(type);
  return {
    encode(message) {
      out.begin();
      writeFields(plan, out, fieldsOf(message));
      return out.take();
    },
    // What a plan makes is a message of its type.
    decode: (data) => readFields(plan, new WireReader(data), data.byteLength, messageDepth) as unknown as Message,
  };
}

const plainScalars: readonly ScalarType[] = [
  ScalarType.STRING,
  ScalarType.BYTES,
  ScalarType.BOOL,
  ScalarType.INT32,
  ScalarType.INT64,
  ScalarType.DOUBLE,
];
/** FieldDescriptorProto.Label */
const required = 2;
/** google.protobuf.FeatureSet.FieldPresence */
const implicitPresence = 2;

/** Whether every field, at any depth, is of a kind that plans know. */
function isPlain(type: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(type)) return true;
  seen.add(type);
  return type.fields.every((field) => {
    const { message, scalar } = field;
    if (field.fieldKind === "map" && (field.mapKey !== ScalarType.STRING || (message ?? scalar) === undefined)) return false;
    if (field.fieldKind === "map" && scalar !== undefined && scalar !== ScalarType.STRING) return false;
    if (scalar !== undefined && !plainScalars.includes(scalar)) return false;
    if (message === undefined) {
      // Fields with `optional` have their defaults on a prototype.
      return (
        field.fieldKind === "list" ||
        field.fieldKind === "map" ||
        field.oneof !== undefined ||
        field.presence === implicitPresence
      );
    }
    // protobuf-es shows wrappers as their values.
    if (isWrapperDesc(message) || field.proto.label === required) return false;
    return isShownAsJson(field) || isPlain(message, seen);
  });
}

/** A Struct is a JSON object for whoever reads the message. Only errors have them, so speed is not needed. */
function isShownAsJson({ message, parent }: DescField): boolean {
  return message?.typeName === StructSchema.typeName && parent.typeName !== ValueSchema.typeName;
}

const plans = new WeakMap<DescMessage, Plan>();

function planOf(type: DescMessage): Plan {
  const known = plans.get(type);
  if (known !== undefined) return known;
  const readers: (ReadField | undefined)[] = [];
  const inOrder = type.fields.toSorted((a, b) => a.number - b.number);
  const plan: Plan = { zero: zeroOf(type), writers: inOrder.map(fieldWriter), readers };
  for (const field of type.fields) readers[field.number] = fieldReader(field);
  plans.set(type, plan);
  return plan;
}

/** Makes empty messages, all of one hidden class. */
function zeroOf(type: DescMessage): () => Fields {
  const template = fieldsOf(create(type));
  const mutable = type.members.flatMap((member): [string, () => unknown][] => {
    if (member.kind === "oneof") return [[member.localName, () => ({ case: undefined })]];
    if (member.fieldKind === "list") return [[member.localName, () => []]];
    return member.fieldKind === "map" ? [[member.localName, () => ({})]] : [];
  });
  return () => {
    const message = { ...template };
    for (const [name, make] of mutable) message[name] = make();
    return message;
  };
}

const zeros = new WeakMap<DescMessage, () => Fields>();

/**
 * A message of these fields, for hot paths: what `create` of protobuf-es makes, in a fifth of the time, because messages inside must be
 * messages already.
 */
export function newMessage<D extends DescMessage>(type: D, fields: Omit<Partial<MessageShape<D>>, "$typeName">): MessageShape<D> {
  let zero = zeros.get(type);
  if (zero === undefined) {
    zero = isPlain(type, new Set()) ? zeroOf(type) : () => fieldsOf(create(type));
    zeros.set(type, zero);
  }
  // What is empty and has the type's name, with fields of the type's, is of the type.
  return Object.assign(zero(), fields) as unknown as MessageShape<D>;
}

/** A time in milliseconds since the epoch, as `timestampFromMs` of protobuf-es makes it. */
export function newTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1_000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: Math.trunc(ms - seconds * 1_000) * 1_000_000,
  };
}

function fieldsOf(message: Message): Fields {
  // Messages are plain objects; only their types hide that fields can be had by name.
  return message as unknown as Fields;
}

const varint = 0;
const eightBytes = 1;
const withLength = 2;

function wireOf({ message, scalar }: DescField): number {
  if (message !== undefined || scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return withLength;
  return scalar === ScalarType.DOUBLE ? eightBytes : varint;
}

function writeFields({ writers }: Plan, out: WireWriter, message: Fields): void {
  for (const write of writers) write(out, message);
}

function readFields(plan: Plan, from: WireReader, end: number, depth: number): Fields {
  if (depth < 0) throw new Error("the message is nested too deeply");
  const message = plan.zero();
  while (from.at < end) {
    const tag = from.uint32();
    const read = plan.readers[tag >>> 3];
    if (read === undefined) from.skip(tag & 7);
    else read(from, message, tag & 7, depth);
  }
  if (from.at !== end) throw new Error("a field goes on behind the end of its message");
  return message;
}

function fieldWriter(field: DescField): WriteField {
  const { localName, number, oneof } = field;
  const write = valueWriter(field);
  const tag = (number << 3) | wireOf(field);
  const tagWithLength = (number << 3) | withLength;
  // The casts below say what the descriptor says of the field.
  if (field.fieldKind === "list" && field.packed) {
    const all = delimited<readonly unknown[]>((out, values) => {
      for (const value of values) write(out, value);
    });
    return (out, message) => {
      const values = message[localName] as readonly unknown[];
      if (values.length === 0) return;
      out.uint32(tagWithLength);
      all(out, values);
    };
  }
  if (field.fieldKind === "list") {
    return (out, message) => {
      for (const value of message[localName] as readonly unknown[]) {
        out.uint32(tag);
        write(out, value);
      }
    };
  }
  if (field.fieldKind === "map") {
    const entry = delimited<readonly [string, unknown]>((out, [key, value]) => {
      out.uint32((1 << 3) | withLength);
      out.string(key);
      out.uint32((2 << 3) | withLength);
      write(out, value);
    });
    return (out, message) => {
      const values = message[localName] as Fields;
      for (const key in values) {
        out.uint32(tagWithLength);
        entry(out, [key, values[key]]);
      }
    };
  }
  if (oneof !== undefined) {
    const group = oneof.localName;
    return (out, message) => {
      const chosen = message[group] as { readonly case: string | undefined; readonly value?: unknown };
      if (chosen.case !== localName) return;
      out.uint32(tag);
      write(out, chosen.value);
    };
  }
  return (out, message) => {
    const value = message[localName];
    if (value === undefined || isZero(value)) return;
    out.uint32(tag);
    write(out, value);
  };
}

/** Zero values of fields outside a oneof are not written. */
function isZero(value: unknown): boolean {
  if (typeof value === "object") return value instanceof Uint8Array && value.byteLength === 0;
  return value === "" || value === false || value === 0n || Object.is(value, 0);
}

function fieldReader(field: DescField): ReadField {
  const { localName } = field;
  const group = field.oneof?.localName;
  const expected = wireOf(field);
  const read = valueReader(field);
  if (field.fieldKind === "list") {
    return (from, message, wire, depth) => {
      const values = message[localName] as unknown[];
      if (wire === expected) values.push(read(from, depth));
      else if (wire === withLength) {
        for (const end = from.end(); from.at < end; ) values.push(read(from, depth));
      } else from.skip(wire);
    };
  }
  if (field.fieldKind === "map") {
    const none = (): unknown => (field.message === undefined ? "" : planOf(field.message).zero());
    return (from, message, wire, depth) => {
      if (wire !== withLength) return from.skip(wire);
      let key = "";
      let value: unknown;
      for (const end = from.end(); from.at < end; ) {
        const tag = from.uint32();
        if (tag === ((1 << 3) | withLength)) key = from.string();
        else if (tag === ((2 << 3) | withLength)) value = read(from, depth);
        else from.skip(tag & 7);
      }
      const values = message[localName] as Fields;
      values[key] = value ?? none();
    };
  }
  if (group !== undefined) {
    return (from, message, wire, depth) => {
      if (wire === expected) message[group] = { case: localName, value: read(from, depth) };
      else from.skip(wire);
    };
  }
  return (from, message, wire, depth) => {
    if (wire === expected) message[localName] = read(from, depth);
    else from.skip(wire);
  };
}

/** Writes what `write` writes, behind its length. */
function delimited<V>(write: (out: WireWriter, value: V) => void): (out: WireWriter, value: V) => void {
  // As many bytes as the length took before: mostly nothing has to be moved when it is known.
  let room = 1;
  return (out, value) => {
    const guess = room;
    const start = out.open(guess);
    // May come back here, when a message holds others of its type.
    write(out, value);
    room = out.close(start, guess);
  };
}

function valueWriter(field: DescField): WriteValue {
  const { message, scalar } = field;
  if (isShownAsJson(field)) return (out, value) => out.bytes(toBinary(StructSchema, fromJson(StructSchema, value as JsonObject)));
  if (message !== undefined) {
    // Asked for late, because a type may hold itself.
    let plan: Plan | undefined;
    return delimited((out, value) => {
      plan ??= planOf(message);
      writeFields(plan, out, value as Fields);
    });
  }
  switch (scalar) {
    case ScalarType.STRING:
      return (out, value) => out.string(value as string);
    case ScalarType.BYTES:
      return (out, value) => out.bytes(value as Uint8Array);
    case ScalarType.BOOL:
      return (out, value) => out.uint32(value === true ? 1 : 0);
    case ScalarType.INT64:
      return (out, value) => out.int64(value as bigint);
    case ScalarType.DOUBLE:
      return (out, value) => out.double(value as number);
    default:
      return (out, value) => out.int32(value as number);
  }
}

function valueReader(field: DescField): ReadValue {
  const { message, scalar } = field;
  if (isShownAsJson(field))
    return (from) => toJson(StructSchema, fromBinary(StructSchema, from.bytes(), { recursionLimit: messageDepth }));
  if (message !== undefined) {
    let plan: Plan | undefined;
    return (from, depth) => {
      plan ??= planOf(message);
      return readFields(plan, from, from.end(), depth - 1);
    };
  }
  switch (scalar) {
    case ScalarType.STRING:
      return (from) => from.string();
    case ScalarType.BYTES:
      return (from) => from.bytes();
    case ScalarType.BOOL:
      return (from) => from.int64() !== 0n;
    case ScalarType.INT64:
      return (from) => from.int64();
    case ScalarType.DOUBLE:
      return (from) => from.double();
    default:
      return (from) => from.int32();
  }
}
