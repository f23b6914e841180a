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
} from "./cel-value.ts";
import { mapGet, mapKeys } from "./compare.ts";
import { durationText, timestampText } from "./time.ts";

/** CEL's `format`: `%s %d %f %e %b %o %x %X %%`, with a precision for `f` and `e`. */
export function formatText(meter: Meter, template: string, values: readonly Cel[]): string {
  charge(meter, template.length >> 2);
  let next = 0;
  let length = template.length;
  const text = template.replace(
    /%(%|(?:\.(\d{1,3}))?(.)|$)/gsu,
    (_whole, all: string, precision: string | undefined, clause: string | undefined) => {
      if (all === "%") return "%";
      if (clause === undefined) throw new CelFault("format(): a % at the end has no clause");
      const value = values[next++];
      if (value === undefined) throw new CelFault("format() has more clauses than values");
      const piece = clauseText(meter, clause, value, precision === undefined ? undefined : Number(precision));
      length += piece.length;
      chargeLength(meter, length);
      return piece;
    },
  );
  if (next < values.length) throw new CelFault("format() has more values than clauses");
  return text;
}

function clauseText(meter: Meter, clause: string, value: Cel, precision: number | undefined): string {
  switch (clause) {
    case "s":
      return plainText(meter, value, 0);
    case "d":
      if (typeof value === "number") return String(value);
      return String(whole(clause, value));
    case "f":
      return fixedText(value, precision ?? 6);
    case "e":
      return exponentText(value, precision ?? 6);
    case "b":
      return typeof value === "boolean" ? String(Number(value)) : whole(clause, value).toString(2);
    case "o":
      return whole(clause, value).toString(8);
    case "x":
      return hexText(meter, value);
    case "X":
      return hexText(meter, value).toUpperCase();
    default:
      throw new CelFault(`format() does not know %${clause}; it knows %s %d %f %e %b %o %x %X`);
  }
}

function whole(clause: string, value: Cel): bigint {
  if (typeof value === "bigint") return value;
  if (value instanceof Uint) return value.value;
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  throw new CelFault(`format(): %${clause} needs a whole number, not ${typeName(value)}`);
}

function double(clause: string, value: Cel): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint) return Number(value.value);
  throw new CelFault(`format(): %${clause} needs a number, not ${typeName(value)}`);
}

function fixedText(value: Cel, precision: number): string {
  const number = double("f", value);
  if (!Number.isFinite(number)) return String(number);
  if (precision > 100) throw new CelFault("format(): at most 100 digits");
  return new Intl.NumberFormat("en-US", {
    minimumFractionDigits: precision,
    maximumFractionDigits: precision,
    useGrouping: false,
    // The node types know this option only from a later library level than the one compiled against.
    ...{ roundingMode: "halfEven" },
  }).format(number);
}

function exponentText(value: Cel, precision: number): string {
  const number = double("e", value);
  if (!Number.isFinite(number)) return String(number);
  if (precision > 100) throw new CelFault("format(): at most 100 digits");
  return number.toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
}

function hexText(meter: Meter, value: Cel): string {
  if (typeof value === "string" || value instanceof Uint8Array) {
    chargeLength(meter, value.length * 2);
    return Buffer.from(value).toString("hex");
  }
  return whole("x", value).toString(16);
}

function plainText(meter: Meter, value: Cel, depth: number): string {
  charge(meter, 1);
  if (depth > 64) throw new CelFault("format(): the value is nested too deeply");
  if (typeof value === "string") return value;
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "bigint")
    return String(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (value instanceof Timestamp) return timestampText(value);
  if (value instanceof Duration) return durationText(value);
  if (value instanceof TypeName) return value.name;
  if (isList(value))
    return `[${pieces(
      meter,
      value.map((item) => plainText(meter, item, depth + 1)),
    )}]`;
  const entries = (mapKeys(value) ?? []).map(
    (key) => `${String(key)}: ${plainText(meter, mapGet(value, key) ?? null, depth + 1)}`,
  );
  return `{${pieces(meter, entries.sort())}}`;
}

function pieces(meter: Meter, texts: readonly string[]): string {
  chargeLength(
    meter,
    texts.reduce((sum, text) => sum + text.length + 2, 0),
  );
  return texts.join(", ");
}
