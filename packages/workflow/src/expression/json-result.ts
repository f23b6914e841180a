import type { Json } from "@longhaul/core";
import { type Cel, CelFault, Duration, isList, isMap, type JsonObject, setOwn, Timestamp, TypeName, Uint } from "./cel-value.ts";
import { durationText, timestampText } from "./time.ts";

/** Bounds of what an evaluation may answer. */
export interface ResultLimits {
  /** Characters of JSON, about. */
  readonly size: number;
  /** Levels of lists and objects. */
  readonly depth: number;
}

/** 16 MiB and 64 levels. */
export const defaultResultLimits: ResultLimits = { size: 16 * 1024 * 1024, depth: 64 };

interface Left {
  size: number;
}

/**
 * A value of an expression as JSON: ints and uints become numbers, bytes base64, times and durations text. Parts that already are JSON are
 * answered as they are, not copied. Throws a CelFault for what JSON cannot say and for results beyond the limits.
 */
export function toJson(value: Cel, limits: ResultLimits): Json {
  return convert(value, limits.depth, { size: limits.size });
}

/** Checks a JSON value that was put together from several results against the limits. */
export function checkJson(value: Json, limits: ResultLimits): void {
  measure(value, limits.depth, { size: limits.size });
}

function take(left: Left, size: number): void {
  left.size -= size;
  if (left.size < 0) throw new CelFault("the result is too large (more than 16 MiB as JSON)");
}

function tooDeep(): CelFault {
  return new CelFault("the result is nested too deeply (more than 64 levels)");
}

function measure(value: Json, depth: number, left: Left): void {
  if (typeof value === "string") {
    take(left, value.length + 2);
    return;
  }
  take(left, 2);
  if (typeof value !== "object" || value === null) return;
  if (depth === 0) throw tooDeep();
  if (Array.isArray(value)) {
    for (const item of value) measure(item, depth - 1, left);
    return;
  }
  const object = value as JsonObject;
  for (const key of Object.keys(object)) {
    take(left, key.length + 3);
    measure(object[key] ?? null, depth - 1, left);
  }
}

function convert(value: Cel, depth: number, left: Left): Json {
  switch (typeof value) {
    case "string":
      take(left, value.length + 2);
      return value;
    case "number":
      take(left, 2);
      if (Number.isFinite(value)) return value;
      throw new CelFault(`the result is ${value}, which JSON cannot say`);
    case "bigint":
      take(left, 2);
      return exactNumber(value);
    case "boolean":
      take(left, 4);
      return value;
    default:
      return convertObject(value, depth, left);
  }
}

function exactNumber(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new CelFault(`the int ${value} is too large for an exact JSON number; use string() to keep it`);
}

function convertObject(value: Exclude<Cel, string | number | bigint | boolean>, depth: number, left: Left): Json {
  if (value === null) {
    take(left, 4);
    return null;
  }
  if (value instanceof Uint) return exactNumber(value.value);
  if (value instanceof Timestamp) return timestampText(value);
  if (value instanceof Duration) return durationText(value);
  if (value instanceof TypeName) throw new CelFault("a type is not a JSON value");
  if (value instanceof Uint8Array) {
    take(left, value.length * 1.34);
    return Buffer.from(value).toString("base64");
  }
  if (depth === 0) throw tooDeep();
  take(left, 2);
  if (isList(value)) return convertList(value, depth, left);
  if (isMap(value)) return convertMap(value, depth, left);
  measure(value, depth, left);
  return value;
}

function convertList(list: readonly Cel[], depth: number, left: Left): Json {
  // Most lists come from JSON as they are; the first item that changes starts a copy.
  let copy: Json[] | undefined;
  for (const [index, item] of list.entries()) {
    const converted = convert(item, depth - 1, left);
    if (copy !== undefined) copy.push(converted);
    else if (converted !== item) copy = [...(list.slice(0, index) as Json[]), converted];
  }
  return copy ?? (list as readonly Json[]);
}

function convertMap(map: ReadonlyMap<string | boolean | bigint, Cel>, depth: number, left: Left): Json {
  const object: Record<string, Json> = {};
  for (const [key, item] of map) {
    const name = String(key);
    take(left, name.length + 3);
    setOwn(object, name, convert(item, depth - 1, left));
  }
  return object;
}
