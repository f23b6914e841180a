import {
  type Cel,
  CelFault,
  chargeLength,
  Duration,
  isList,
  type Meter,
  Timestamp,
  typeName,
  Uint,
  wholeNumber,
} from "./cel-value.ts";
import { inDurationRange, inTimestampRange } from "./time.ts";

const minInt = -(2n ** 63n);
const maxInt = 2n ** 63n - 1n;
const maxUint = 2n ** 64n - 1n;

export type Operator = "+" | "-" | "*" | "/" | "%";

/** Keeps an int within 64 bits. */
export function toInt(value: bigint): bigint {
  if (value < minInt || value > maxInt) throw new CelFault("int overflow");
  return value;
}

export function toUint(value: bigint): Uint {
  if (value < 0n || value > maxUint) throw new CelFault("uint overflow");
  return new Uint(value);
}

/**
 * One arithmetic operation. Beyond CEL's own rules ints, uints and doubles mix: with a double on either side the result is a double,
 * because every number that comes from JSON is one.
 */
export function arithmetic(meter: Meter, operator: Operator, left: Cel, right: Cel): Cel {
  if (typeof left === "bigint" && typeof right === "bigint") return toInt(wholeArithmetic(operator, left, right));
  if (left instanceof Uint && right instanceof Uint) return toUint(wholeArithmetic(operator, left.value, right.value));
  if (isNumber(left) && isNumber(right)) return mixedArithmetic(operator, left, right);
  if (operator === "+") {
    const joined = concatenate(meter, left, right);
    if (joined !== undefined) return joined;
  }
  if (operator === "+" || operator === "-") {
    const moved = timeArithmetic(operator, left, right);
    if (moved !== undefined) return moved;
  }
  throw new CelFault(`${operator} does not work on ${typeName(left)} and ${typeName(right)}`);
}

function isNumber(value: Cel): value is number | bigint | Uint {
  return typeof value === "number" || typeof value === "bigint" || value instanceof Uint;
}

function wholeArithmetic(operator: Operator, a: bigint, b: bigint): bigint {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      if (b === 0n) throw new CelFault("divide by zero");
      return a / b;
    case "%":
      if (b === 0n) throw new CelFault("modulus by zero");
      return a % b;
  }
}

function mixedArithmetic(operator: Operator, left: number | bigint | Uint, right: number | bigint | Uint): Cel {
  if (operator === "%") {
    const a = wholeNumber(left);
    const b = wholeNumber(right);
    if (a === undefined || b === undefined) throw new CelFault("% needs whole numbers");
    return toInt(wholeArithmetic(operator, a, b));
  }
  const a = toDouble(left);
  const b = toDouble(right);
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
  }
}

export function toDouble(value: number | bigint | Uint): number {
  return value instanceof Uint ? Number(value.value) : Number(value);
}

function concatenate(meter: Meter, left: Cel, right: Cel): Cel | undefined {
  if (typeof left === "string" && typeof right === "string") {
    chargeLength(meter, left.length + right.length);
    return left + right;
  }
  if (isList(left) && isList(right)) {
    chargeLength(meter, (left.length + right.length) * 8);
    return left.concat(right);
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    chargeLength(meter, left.length + right.length);
    return new Uint8Array(Buffer.concat([left, right]));
  }
  return undefined;
}

function timeArithmetic(operator: "+" | "-", left: Cel, right: Cel): Cel | undefined {
  const sign = operator === "+" ? 1n : -1n;
  if (left instanceof Timestamp && right instanceof Duration) return inTimestampRange(left.ns + sign * right.ns);
  if (left instanceof Duration && right instanceof Duration) return inDurationRange(left.ns + sign * right.ns);
  if (operator === "+" && left instanceof Duration && right instanceof Timestamp) return inTimestampRange(left.ns + right.ns);
  if (operator === "-" && left instanceof Timestamp && right instanceof Timestamp) return inDurationRange(left.ns - right.ns);
  return undefined;
}

/** Unary minus. */
export function negate(value: Cel): Cel {
  if (typeof value === "number") return -value;
  if (typeof value === "bigint") return toInt(-value);
  throw new CelFault(`- does not work on ${typeName(value)}`);
}
