import type { Json } from "@longhaul/core";
import type { JsonObject } from "../../expression/cel-value.ts";
import { NodeFailure } from "../kind.ts";
import { defaultMemoryMiB, defaultOutputBytes, maxMemoryMiB, maxOutputBytes, maxSourceLength, minMemoryMiB } from "./schema.ts";

/** An evaluated `with`, ready for the sandbox. */
export interface CodeInput {
  readonly source: string;
  /** JSON text. */
  readonly input: string;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly nowMs: number | undefined;
}

/** Reads an evaluated `with`; throws NodeFailure `invalid_with` for values that only evaluation could show to be wrong. */
export function readCodeInput(value: Json): CodeInput {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("with must be an object");
  const { source, input, memoryMiB, outputBytes, now } = value as JsonObject;
  if (typeof source !== "string" || source.length > maxSourceLength)
    throw bad(`source must be text of at most ${maxSourceLength} characters`);
  return {
    source,
    input: JSON.stringify(input ?? null),
    memoryBytes: integer("memoryMiB", memoryMiB, minMemoryMiB, maxMemoryMiB, defaultMemoryMiB) * 1024 * 1024,
    outputBytes: integer("outputBytes", outputBytes, 1, maxOutputBytes, defaultOutputBytes),
    nowMs: timeOf(now),
  };
}

function bad(message: string): NodeFailure {
  return new NodeFailure("invalid_with", message, { retryable: false });
}

function integer(name: string, value: Json | undefined, min: number, max: number, or: number): number {
  if (value === undefined || value === null) return or;
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw bad(`${name} must be a whole number from ${min} to ${max}`);
}

/** The clock of the sandbox counts nanoseconds in 64 bits, and not before 1970. */
const lastMs = Date.UTC(2262, 0, 1) - 1;

function timeOf(value: Json | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  const ms = typeof value === "string" ? timeOfText(value) : value;
  if (typeof ms === "number" && ms >= 0 && ms <= lastMs) return Math.floor(ms);
  throw bad("now must be a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970; from 1970 to 2261");
}

function timeOfText(text: string): number {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
}
