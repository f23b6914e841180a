import { ScalarType } from "@bufbuild/protobuf";
import { type DecodeContext, type Invalid, nameOf } from "./decode-context.ts";
import type { Path } from "./path.ts";

/** Reads one JSON value; notes a fault and answers `invalid` when it can't. */
export type Read = (json: unknown, context: DecodeContext, path: Path | undefined) => unknown | Invalid;

/** The reader of a scalar type. Whole numbers may come as text too, as proto3 JSON allows. */
export function scalarReader(type: ScalarType): Read {
  switch (type) {
    case ScalarType.STRING:
      return (json, context, path) =>
        typeof json === "string" ? json : context.fault(path, `must be a string, is ${nameOf(json)}`);
    case ScalarType.BOOL:
      return (json, context, path) =>
        typeof json === "boolean" ? json : context.fault(path, `must be true or false, is ${nameOf(json)}`);
    case ScalarType.BYTES:
      return readBytes;
    case ScalarType.DOUBLE:
      return (json, context, path) => readNumber(json, context, path, Number.MAX_VALUE);
    case ScalarType.FLOAT:
      return (json, context, path) => readNumber(json, context, path, 3.402_823_466_385_288_6e38);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return wholeReader(-2_147_483_648n, 2_147_483_647n, Number);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return wholeReader(0n, 4_294_967_295n, Number);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return wholeReader(0n, 2n ** 64n - 1n, BigInt);
    default:
      return wholeReader(-(2n ** 63n), 2n ** 63n - 1n, BigInt);
  }
}

const readBytes: Read = (json, context, path) => {
  if (typeof json === "string" && /^[A-Za-z0-9+/_-]*={0,2}$/.test(json)) return new Uint8Array(Buffer.from(json, "base64"));
  return context.fault(path, typeof json === "string" ? "must be base64" : `must be bytes in base64, is ${nameOf(json)}`);
};

function readNumber(json: unknown, context: DecodeContext, path: Path | undefined, max: number): unknown {
  if (typeof json !== "number") return context.fault(path, `must be a number, is ${nameOf(json)}`);
  return Math.abs(json) <= max ? json : context.fault(path, "is too large a number");
}

function wholeReader(min: bigint, max: bigint, turn: (whole: bigint) => number | bigint): Read {
  return (json, context, path) => {
    const isWhole = typeof json === "number" ? Number.isSafeInteger(json) : typeof json === "string" && /^-?\d{1,20}$/.test(json);
    if (!isWhole) {
      if (typeof json === "number") return context.fault(path, "must be a whole number, or text when it has more than 15 digits");
      return context.fault(path, `must be a whole number, is ${typeof json === "string" ? "other text" : nameOf(json)}`);
    }
    const whole = BigInt(json as number | string);
    if (whole >= min && whole <= max) return turn(whole);
    return context.fault(path, `must be from ${min} to ${max}`);
  };
}
