import type { Json } from "@longhaul/core";
import { type InputValidator, inputValidator } from "../../definition/input-schema.ts";
import type { JsonSchema } from "../../definition/schema-type.ts";
import { llmFailure } from "./llm-failure.ts";

const maxDepth = 60;
const shownFaults = 10;

/** The answer as the JSON that was asked for. Throws NodeFailure `llm_invalid_object` where it is none, or does not fit the schema. */
export function answerObject(text: string, schema: JsonSchema, finishReason: string | undefined): Json {
  const parsed = parse(text);
  if (parsed === undefined)
    throw invalid(
      finishReason === "length"
        ? "the answer was cut off at its most tokens and is no whole JSON; raise maxTokens"
        : "the answer is not JSON, although a schema was given",
      { start: text.slice(0, 200) },
    );
  const faults = validatorOf(schema)(parsed.value);
  const [first] = faults;
  if (first === undefined) return parsed.value;
  const shown = faults.slice(0, shownFaults).map(({ pointer, message }) => ({ pointer: placeOf(pointer), message }));
  const where = placeOf(first.pointer);
  throw invalid(`the answer does not fit the schema: ${where === "" ? "" : `${where}: `}${first.message}`, { faults: shown });
}

// The engine hands out a copy of the schema with every run; compiling it takes longer than to look it up by its text.
const validators = new Map<string, InputValidator>();
const maxKept = 100;

function validatorOf(schema: JsonSchema): InputValidator {
  const key = JSON.stringify(schema);
  const known = validators.get(key) ?? inputValidator(schema);
  validators.delete(key);
  validators.set(key, known);
  const oldest = validators.keys().next();
  if (validators.size > maxKept && oldest.done !== true) validators.delete(oldest.value);
  return known;
}

function placeOf(pointer: string): string {
  return pointer.replace(/^\/input/, "");
}

function parse(text: string): { readonly value: Json } | undefined {
  // Models that were only asked for JSON like to put it into a fence.
  const fenced = /^\s*```(?:json)?\s*\n([\s\S]*?)\n?\s*```\s*$/.exec(text)?.[1];
  try {
    const value: Json = JSON.parse(fenced ?? text);
    return isDeeper(value, maxDepth) ? undefined : { value };
  } catch {
    return undefined;
  }
}

function isDeeper(value: Json, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((each: Json) => isDeeper(each, depth - 1));
}

function invalid(message: string, details: Readonly<Record<string, Json>>): Error {
  // The same question may well be answered better.
  return llmFailure("llm_invalid_object", message, { retryable: true, sent: "yes", details });
}
