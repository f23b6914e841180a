import type { FieldFault } from "@longhaul/core";
import { type Path, pointerOf } from "./path.ts";

/** At most this many faults of one request are told. */
const maxFaults = 20;

/** What a reader answers instead of a value after it has noted a fault. */
export const invalid: unique symbol = Symbol("invalid");
export type Invalid = typeof invalid;

/** Collects the faults of one request. */
export interface DecodeContext {
  readonly faults: FieldFault[];
  /** How many levels of JSON may still lie below. */
  depth: number;
  /** Notes a fault and answers `invalid`. */
  fault(path: Path | undefined, message: string): Invalid;
  /** True when no more faults are told, so that reading on is pointless. */
  isFull(): boolean;
}

export function decodeContext(depth: number): DecodeContext {
  const faults: FieldFault[] = [];
  return {
    faults,
    depth,
    fault(path, message) {
      if (faults.length < maxFaults) faults.push({ pointer: pointerOf(path), message });
      return invalid;
    },
    isFull: () => faults.length >= maxFaults,
  };
}

/** What a JSON value is, for a message: `a string`, `null`. */
export function nameOf(json: unknown): string {
  if (json === null) return "null";
  if (Array.isArray(json)) return "a list";
  switch (typeof json) {
    case "object":
      return "an object";
    case "string":
      return "a string";
    case "number":
      return "a number";
    case "boolean":
      return "a boolean";
    default:
      return typeof json;
  }
}
