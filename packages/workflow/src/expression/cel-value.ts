import type { Json } from "@longhaul/core";

/** An unsigned CEL integer (`1u`); a class so that it is told apart from `int`. */
export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** A point in time, in nanoseconds since 1970. */
export class Timestamp {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

/** A span of time, in nanoseconds. */
export class Duration {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

/** What `type(x)` answers. */
export class TypeName {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export type MapKey = string | boolean | bigint;
export type CelMap = ReadonlyMap<MapKey, Cel>;
export type JsonObject = { readonly [key: string]: Json };

/**
 * A value while an expression runs: JSON as it came (numbers are CEL doubles, objects are maps), CEL ints as BigInt, and maps built by
 * the expression itself as `Map`.
 */
export type Cel =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | TypeName
  | CelMap
  | JsonObject
  | readonly Cel[];

/** An error of the expression itself, as CEL means it: `&&`, `||`, `all` and `exists` may swallow it. */
export class CelFault extends Error {
  override readonly name = "CelFault";
}

/** Thrown when an expression has used up its meter. Never swallowed, so that it ends the evaluation at once. */
export class MeterSpent extends Error {
  override readonly name = "MeterSpent";
}

/** What is left of an evaluation's budget; a unit is about one visited node of the expression or 64 copied characters. */
export interface Meter {
  left: number;
}

/** Takes `units` from the meter, or ends the evaluation. */
export function charge(meter: Meter, units: number): void {
  meter.left -= units;
  // Written so that NaN and Infinity end it too.
  if (!(meter.left >= 0)) throw new MeterSpent("the expression's budget is spent");
}

/** Longest string, list or byte string that an expression may build. */
export const maxPieceLength = 16 * 1024 * 1024;

/** Pays for building something of `length` characters, bytes or items, and refuses what is too long. */
export function chargeLength(meter: Meter, length: number): void {
  if (length > maxPieceLength) throw new CelFault(`a value of ${length} characters or items is longer than ${maxPieceLength}`);
  charge(meter, length >> 6);
}

export function isList(value: Cel): value is readonly Cel[] {
  return Array.isArray(value);
}

export function isMap(value: Cel): value is CelMap {
  return value instanceof Map;
}

/** True for an object that came from JSON. */
export function isObject(value: Cel): value is JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !(
    value instanceof Map ||
    value instanceof Uint ||
    value instanceof Uint8Array ||
    value instanceof Timestamp ||
    value instanceof Duration ||
    value instanceof TypeName
  );
}

/** CEL's name for the type of a value. */
export function typeName(value: Cel): string {
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "number":
      return "double";
    case "bigint":
      return "int";
    case "string":
      return "string";
    default:
      if (value === null) return "null_type";
      if (isList(value)) return "list";
      if (value instanceof Uint) return "uint";
      if (value instanceof Uint8Array) return "bytes";
      if (value instanceof Timestamp) return "google.protobuf.Timestamp";
      if (value instanceof Duration) return "google.protobuf.Duration";
      if (value instanceof TypeName) return "type";
      return "map";
  }
}

/** The value as a whole number, if it is one; doubles without a fraction count, because every JSON number is a double. */
export function wholeNumber(value: Cel): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value) : undefined;
  return value instanceof Uint ? value.value : undefined;
}

/** The key under which a map made by an expression holds `value`, or undefined where it cannot be a key. */
export function mapKey(value: Cel): MapKey | undefined {
  if (typeof value === "string" || typeof value === "boolean") return value;
  return wholeNumber(value);
}

/** Sets a key as data, also `__proto__`. */
export function setOwn(target: Record<string, Json>, key: string, value: Json): void {
  if (key === "__proto__") Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}
