import { toDouble, toInt, toUint } from "./arithmetic.ts";
import {
  type Cel,
  CelFault,
  charge,
  chargeLength,
  Duration,
  isList,
  type Meter,
  Timestamp,
  TypeName,
  typeName,
  Uint,
  wholeNumber,
} from "./cel-value.ts";
import { mapSize } from "./compare.ts";
import { formatText } from "./format.ts";
import { matches } from "./regex.ts";
import * as strings from "./strings.ts";
import {
  durationPart,
  durationText,
  parseDuration,
  parseTimestamp,
  secondsOf,
  timestampOfSeconds,
  timestampText,
  wallClock,
} from "./time.ts";

/** A function or method of the expression language; a method's target is its first argument. */
export interface CelFunction {
  /** How many arguments it takes, the target included. */
  readonly least: number;
  readonly most: number;
  call(meter: Meter, args: readonly Cel[]): Cel;
}

type Call = (meter: Meter, a: Cel, b: Cel | undefined, c: Cel | undefined, d: Cel | undefined) => Cel;

function define(least: number, most: number, call: Call): CelFunction {
  return { least, most, call: (meter, [a = null, b, c, d]) => call(meter, a, b, c, d) };
}

function text(name: string, value: Cel | undefined): string {
  if (typeof value === "string") return value;
  throw new CelFault(`${name}() needs a string, not ${typeName(value ?? null)}`);
}

function whole(name: string, value: Cel): number {
  const found = wholeNumber(value);
  if (found === undefined) throw new CelFault(`${name}() needs a whole number, not ${typeName(value)}`);
  return Number(found);
}

function optionalWhole(name: string, value: Cel | undefined): number | undefined {
  return value === undefined ? undefined : whole(name, value);
}

function size(meter: Meter, value: Cel): Cel {
  if (typeof value === "string") return BigInt(strings.lengthOf(meter, value));
  if (isList(value) || value instanceof Uint8Array) return BigInt(value.length);
  const keys = mapSize(value);
  if (keys === undefined) throw new CelFault(`size() does not work on ${typeName(value)}`);
  charge(meter, keys >> 2);
  return BigInt(keys);
}

// A double of this size or more is no int; compared as doubles because 2^63 - 1 is not one.
const intBound = 2 ** 63;
const uintBound = 2 ** 64;

function wholePart(value: number, bound: number, least: number): bigint {
  if (!(value > least && value < bound)) throw new CelFault("the number is out of range");
  return BigInt(Math.trunc(value));
}

function parseWhole(name: string, value: string): bigint {
  if (value.length > 24 || !/^[+-]?\d+$/.test(value)) throw new CelFault(`${name}() cannot read that string`);
  return BigInt(value);
}

function int(value: Cel): Cel {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return wholePart(value, intBound, -intBound);
  if (value instanceof Uint) return toInt(value.value);
  if (typeof value === "string") return toInt(parseWhole("int", value));
  if (value instanceof Timestamp) return secondsOf(value);
  throw new CelFault(`int() does not work on ${typeName(value)}`);
}

function uint(value: Cel): Cel {
  if (value instanceof Uint) return value;
  if (typeof value === "bigint") return toUint(value);
  if (typeof value === "number") return toUint(wholePart(value, uintBound, -1));
  if (typeof value === "string") return toUint(parseWhole("uint", value));
  throw new CelFault(`uint() does not work on ${typeName(value)}`);
}

function double(value: Cel): Cel {
  if (typeof value === "number") return value;
  if (typeof value === "bigint" || value instanceof Uint) return toDouble(value);
  if (typeof value === "string") {
    if (value === "NaN") return Number.NaN;
    if (/^[+-]?(inf|infinity)$/i.test(value)) return value.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    if (value.length <= 400 && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) return Number(value);
    throw new CelFault("double() cannot read that string");
  }
  throw new CelFault(`double() does not work on ${typeName(value)}`);
}

function string(meter: Meter, value: Cel): Cel {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "bigint") return String(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return timestampText(value);
  if (value instanceof Duration) return durationText(value);
  if (value instanceof Uint8Array) {
    chargeLength(meter, value.length);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(value);
    } catch (cause) {
      throw new CelFault("string() needs bytes that are UTF-8", { cause });
    }
  }
  throw new CelFault(
    `string() does not work on ${typeName(value)}; a whole map or list is written as JSON by putting it inside text: "\${ x } "`,
  );
}

function bool(value: Cel): Cel {
  if (typeof value === "boolean") return value;
  if (typeof value === "string") {
    if (["1", "t", "true", "TRUE", "True"].includes(value)) return true;
    if (["0", "f", "false", "FALSE", "False"].includes(value)) return false;
  }
  throw new CelFault(`bool() cannot read that ${typeName(value)}`);
}

function bytes(meter: Meter, value: Cel): Cel {
  if (value instanceof Uint8Array) return value;
  const source = text("bytes", value);
  chargeLength(meter, source.length * 2);
  return new Uint8Array(Buffer.from(source, "utf8"));
}

function timestamp(value: Cel): Cel {
  if (value instanceof Timestamp) return value;
  if (typeof value === "string") return parseTimestamp(value);
  const seconds = wholeNumber(value);
  if (seconds !== undefined) return timestampOfSeconds(seconds);
  throw new CelFault(`timestamp() does not work on ${typeName(value)}`);
}

function duration(value: Cel): Cel {
  if (value instanceof Duration) return value;
  if (typeof value === "string") return parseDuration(value);
  throw new CelFault(`duration() does not work on ${typeName(value)}`);
}

/** Functions called as `name(x)`. */
export const functions: ReadonlyMap<string, CelFunction> = new Map<string, CelFunction>([
  ["size", define(1, 1, (meter, value) => size(meter, value))],
  ["int", define(1, 1, (_meter, value) => int(value))],
  ["uint", define(1, 1, (_meter, value) => uint(value))],
  ["double", define(1, 1, (_meter, value) => double(value))],
  ["string", define(1, 1, (meter, value) => string(meter, value))],
  ["bool", define(1, 1, (_meter, value) => bool(value))],
  ["bytes", define(1, 1, (meter, value) => bytes(meter, value))],
  ["timestamp", define(1, 1, (_meter, value) => timestamp(value))],
  ["duration", define(1, 1, (_meter, value) => duration(value))],
  ["dyn", define(1, 1, (_meter, value) => value)],
  ["type", define(1, 1, (_meter, value) => new TypeName(typeName(value)))],
  ["matches", define(2, 2, (meter, value, pattern) => matches(meter, text("matches", value), text("matches", pattern)))],
  ["strings.quote", define(1, 1, (meter, value) => strings.quote(meter, text("strings.quote", value)))],
]);

type Search = (value: string, part: string) => boolean;

function search(name: string, test: Search): CelFunction {
  return define(2, 2, (meter, value, part) => {
    const [whole, piece] = [text(name, value), text(name, part)];
    strings.chargeSearch(meter, whole, piece);
    return test(whole, piece);
  });
}

function join(meter: Meter, list: Cel, separator: Cel | undefined): Cel {
  if (!isList(list)) throw new CelFault(`join() needs a list, not ${typeName(list)}`);
  return strings.join(meter, list, separator === undefined ? "" : text("join", separator));
}

function format(meter: Meter, template: Cel, values: Cel | undefined): Cel {
  if (values === undefined || !isList(values)) throw new CelFault("format() needs a list of values");
  return formatText(meter, text("format", template), values);
}

function reverse(meter: Meter, value: Cel): Cel {
  if (!isList(value)) return strings.reverse(meter, text("reverse", value));
  chargeLength(meter, value.length * 8);
  return value.toReversed();
}

type DatePart = (date: Date) => number;

function datePart(name: string, part: DatePart, ofDuration?: "hours" | "minutes" | "seconds" | "milliseconds"): CelFunction {
  return define(1, 2, (_meter, value, zone) => {
    if (value instanceof Duration && ofDuration !== undefined && zone === undefined) return durationPart(value, ofDuration);
    if (!(value instanceof Timestamp)) throw new CelFault(`${name}() needs a timestamp, not ${typeName(value)}`);
    return BigInt(part(wallClock(value, zone === undefined ? undefined : text(name, zone))));
  });
}

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000);
}

/** Methods called as `x.name(...)`. */
export const methods: ReadonlyMap<string, CelFunction> = new Map<string, CelFunction>([
  ["size", define(1, 1, (meter, value) => size(meter, value))],
  ["contains", search("contains", (value, part) => value.includes(part))],
  ["startsWith", search("startsWith", (value, part) => value.startsWith(part))],
  ["endsWith", search("endsWith", (value, part) => value.endsWith(part))],
  ["matches", define(2, 2, (meter, value, pattern) => matches(meter, text("matches", value), text("matches", pattern)))],
  ["charAt", define(2, 2, (meter, value, index = null) => strings.charAt(meter, text("charAt", value), whole("charAt", index)))],
  [
    "indexOf",
    define(2, 3, (meter, value, part, from) =>
      BigInt(strings.indexOf(meter, text("indexOf", value), text("indexOf", part), optionalWhole("indexOf", from))),
    ),
  ],
  [
    "lastIndexOf",
    define(2, 3, (meter, value, part, from) =>
      BigInt(
        strings.lastIndexOf(meter, text("lastIndexOf", value), text("lastIndexOf", part), optionalWhole("lastIndexOf", from)),
      ),
    ),
  ],
  ["lowerAscii", define(1, 1, (meter, value) => strings.lowerAscii(meter, text("lowerAscii", value)))],
  ["upperAscii", define(1, 1, (meter, value) => strings.upperAscii(meter, text("upperAscii", value)))],
  [
    "replace",
    define(3, 4, (meter, value, part, by, limit) =>
      strings.replace(meter, text("replace", value), text("replace", part), text("replace", by), optionalWhole("replace", limit)),
    ),
  ],
  [
    "split",
    define(2, 3, (meter, value, by, limit) =>
      strings.split(meter, text("split", value), text("split", by), optionalWhole("split", limit)),
    ),
  ],
  [
    "substring",
    define(2, 3, (meter, value, start = null, end) =>
      strings.substring(meter, text("substring", value), whole("substring", start), optionalWhole("substring", end)),
    ),
  ],
  ["trim", define(1, 1, (meter, value) => strings.trim(meter, text("trim", value)))],
  ["join", define(1, 2, (meter, value, separator) => join(meter, value, separator))],
  ["format", define(2, 2, (meter, value, values) => format(meter, value, values))],
  ["reverse", define(1, 1, (meter, value) => reverse(meter, value))],
  ["getFullYear", datePart("getFullYear", (date) => date.getUTCFullYear())],
  ["getMonth", datePart("getMonth", (date) => date.getUTCMonth())],
  ["getDate", datePart("getDate", (date) => date.getUTCDate())],
  ["getDayOfMonth", datePart("getDayOfMonth", (date) => date.getUTCDate() - 1)],
  ["getDayOfWeek", datePart("getDayOfWeek", (date) => date.getUTCDay())],
  ["getDayOfYear", datePart("getDayOfYear", dayOfYear)],
  ["getHours", datePart("getHours", (date) => date.getUTCHours(), "hours")],
  ["getMinutes", datePart("getMinutes", (date) => date.getUTCMinutes(), "minutes")],
  ["getSeconds", datePart("getSeconds", (date) => date.getUTCSeconds(), "seconds")],
  ["getMilliseconds", datePart("getMilliseconds", (date) => date.getUTCMilliseconds(), "milliseconds")],
]);

/** Type names that may stand in an expression as values: `type(x) == string`. */
export const typeNames: ReadonlySet<string> = new Set([
  "bool",
  "int",
  "uint",
  "double",
  "string",
  "bytes",
  "list",
  "map",
  "null_type",
  "type",
]);
