import type { FieldFault, Json } from "@longhaul/core";
import { _, type AnySchemaObject, type ErrorObject, type KeywordCxt, type ValidateFunction } from "ajv/dist/2020.js";
import type { JsonObject } from "../expression/cel-value.ts";
import { pointerTo } from "../expression/pointer.ts";
import { compileRegex, maxPatternLength, patternWeight, type Regex } from "../expression/regex.ts";
import { newAjv } from "./ajv.ts";

/** Something wrong with a schema, with a pointer into it. */
export interface SchemaProblem {
  readonly pointer: string;
  readonly message: string;
  readonly mend: string;
}

/** Checks a value; answers what is wrong, with pointers below `/input`. */
export type InputValidator = (input: Json) => readonly FieldFault[];

const maxSubschemas = 2000;
const maxPatternWeight = 20_000;
const maxReported = 50;

// Steps that one validation may take, about 50 ms. A step is a subschema met by a value, or 64 characters times states of a pattern.
const maxSteps = 2_000_000;

const inOne = new Set([
  "not",
  "if",
  "then",
  "else",
  "items",
  "contains",
  "propertyNames",
  "additionalProperties",
  "unevaluatedProperties",
  "unevaluatedItems",
]);
const inList = new Set(["allOf", "anyOf", "oneOf", "prefixItems"]);
const inMap = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]);

class StepsSpent extends Error {}

/** Steps left of the validation under way; validation is synchronous, so there is only one. */
const steps = { left: 0, spent: new StepsSpent("the validation takes too many steps") };

function step(cost: number): void {
  steps.left -= cost;
  if (!(steps.left >= 0)) throw steps.spent;
}

/** Every problem of a schema that Longhaul would use to check input; empty where there is none. */
export function checkInputSchema(schema: Json): readonly SchemaProblem[] {
  if (typeof schema !== "boolean" && (typeof schema !== "object" || schema === null || Array.isArray(schema))) {
    return [{ pointer: "", message: "the schema must be an object or a boolean", mend: "Write it after JSON Schema 2020-12." }];
  }
  const problems: SchemaProblem[] = [];
  const count = { left: maxSubschemas };
  walk(schema, "", problems, count);
  if (count.left < 0)
    problems.push({ pointer: "", message: `the schema has more than ${maxSubschemas} parts`, mend: "Simplify it." });
  if (problems.length > 0) return problems;
  const wrong = metaProblems(schema);
  if (wrong.length > 0) return wrong;
  return [...inPlaceLoops(schema), ...compileProblems(schema)];
}

function metaProblems(schema: Json): readonly SchemaProblem[] {
  const ajv = metaAjv();
  // Whatever draft it names, it is read as 2020-12.
  const plain = typeof schema === "object" ? { ...(schema as JsonObject), $schema: undefined } : schema;
  if (ajv.validateSchema(plain as AnySchemaObject | boolean) === true) return [];
  const errors = new Map((ajv.errors ?? []).toReversed().map((error) => [error.instancePath, error]));
  return [...errors.values()].slice(0, 20).map(({ instancePath, message }) => ({
    pointer: instancePath,
    message: `the schema is not valid: ${message ?? "wrong"}`,
    mend: "Correct it after JSON Schema 2020-12.",
  }));
}

let meta: ReturnType<typeof newAjv> | undefined;
function metaAjv(): ReturnType<typeof newAjv> {
  meta ??= newAjv();
  return meta;
}

function compileProblems(schema: Json): readonly SchemaProblem[] {
  try {
    compileSchema(schema);
    return [];
  } catch (error) {
    const message = error instanceof Error ? error.message : "wrong";
    return [
      {
        pointer: "",
        message: `the schema cannot be used: ${message.slice(0, 300)}`,
        mend: "Correct it after JSON Schema 2020-12.",
      },
    ];
  }
}

function walk(schema: Json | undefined, pointer: string, problems: SchemaProblem[], count: { left: number }): void {
  if (--count.left < 0 || typeof schema !== "object" || schema === null || Array.isArray(schema)) return;
  const object = schema as JsonObject;
  for (const [keyword, value] of Object.entries(object)) {
    const at = pointerTo(pointer, keyword);
    checkKeyword(keyword, value, pointer, at, problems);
    if (inOne.has(keyword)) walk(value, at, problems, count);
    else if (inList.has(keyword) && Array.isArray(value))
      for (const [index, each] of value.entries()) walk(each, pointerTo(at, index), problems, count);
    else if (inMap.has(keyword) && typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [key, each] of Object.entries(value)) {
        if (keyword === "patternProperties") checkPattern(key, pointerTo(at, key), problems);
        walk(each, pointerTo(at, key), problems, count);
      }
    }
  }
}

function checkKeyword(keyword: string, value: Json, parent: string, at: string, problems: SchemaProblem[]): void {
  if (keyword === "pattern" && typeof value === "string") checkPattern(value, at, problems);
  if (keyword === "$ref" && typeof value === "string" && !value.startsWith("#")) {
    problems.push({
      pointer: at,
      message: `$ref leads outside the definition: ${value.slice(0, 200)}`,
      mend: "Put the schema under $defs and refer to it as #/$defs/name.",
    });
  }
  if (keyword === "$dynamicRef" || keyword === "$dynamicAnchor" || keyword === "$recursiveRef") {
    problems.push({ pointer: at, message: `${keyword} is not supported`, mend: "Use $ref and $defs." });
  }
  if (keyword === "$id" && parent !== "")
    problems.push({ pointer: at, message: "$id below the top is not supported", mend: "Remove it, and refer by #/$defs/name." });
}

function checkPattern(pattern: string, pointer: string, problems: SchemaProblem[]): void {
  if (pattern.length > maxPatternLength || patternWeight(pattern) > maxPatternWeight) {
    problems.push({
      pointer,
      message: "the pattern is too large",
      mend: "Use a shorter pattern, or minLength and maxLength for counts.",
    });
    return;
  }
  try {
    compileRegex(pattern);
  } catch (error) {
    problems.push({
      pointer,
      message: `the pattern cannot be used: ${error instanceof Error ? error.message.slice(0, 200) : "wrong"}`,
      mend: "Patterns are RE2: no look-ahead, look-behind or backreferences.",
    });
  }
}

/** `$ref`s that lead back to themselves without going into the value would never end. */
function inPlaceLoops(schema: Json): readonly SchemaProblem[] {
  const done = new Set<Json>();
  const open = new Set<Json>();
  let loop: string | undefined;
  const visit = (at: Json | undefined): void => {
    if (at === undefined || typeof at !== "object" || at === null || Array.isArray(at) || done.has(at)) return;
    const object = at as JsonObject;
    open.add(at);
    for (const next of inPlace(object)) {
      if (typeof next === "object" && next !== null && open.has(next))
        loop ??= typeof object["$ref"] === "string" ? object["$ref"] : "#";
      else visit(next);
    }
    const ref = object["$ref"];
    const target = typeof ref === "string" ? resolve(schema, ref) : undefined;
    if (target !== undefined && open.has(target)) loop ??= String(ref);
    else visit(target);
    open.delete(at);
    done.add(at);
  };
  everySchema(schema, visit);
  return loop === undefined
    ? []
    : [
        {
          pointer: "",
          message: `the schema's $ref ${loop} leads back to itself`,
          mend: "Let it go through a property or an item.",
        },
      ];
}

function inPlace(schema: JsonObject): readonly Json[] {
  const lists = ["allOf", "anyOf", "oneOf"].flatMap((key) =>
    Array.isArray(schema[key]) ? (schema[key] as readonly Json[]) : [],
  );
  return [...lists, ...["not", "if", "then", "else"].flatMap((key) => (schema[key] === undefined ? [] : [schema[key]]))];
}

function everySchema(schema: Json, visit: (schema: Json) => void): void {
  if (typeof schema !== "object" || schema === null) return;
  visit(schema);
  for (const value of Object.values(schema)) everySchema(value, visit);
}

function resolve(root: Json, ref: string): Json | undefined {
  if (ref === "#") return root;
  if (!ref.startsWith("#/")) return undefined;
  let at: Json | undefined = root;
  for (const part of ref.slice(2).split("/")) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as JsonObject)[key];
  }
  return at;
}

/** Every subschema gets a counter, so that no schema, however it branches, can hold up the process. */
function withSteps(schema: Json): Json {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) return schema;
  const copy: Record<string, Json> = { "x-step": true };
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "$id" || keyword === "$schema") continue;
    if (inOne.has(keyword)) copy[keyword] = withSteps(value);
    else if (inList.has(keyword) && Array.isArray(value)) copy[keyword] = value.map(withSteps);
    else if (inMap.has(keyword))
      copy[keyword] = Object.fromEntries(Object.entries(value as JsonObject).map(([key, each]) => [key, withSteps(each)]));
    else copy[keyword] = value;
  }
  return copy;
}

function countedRegex(pattern: string): Regex & { toString(): string } {
  const regex = compileRegex(pattern);
  const weight = patternWeight(pattern);
  return {
    // Ajv tells compiled patterns apart by this.
    toString: () => pattern,
    test(text) {
      step(((text.length + 1) * weight) / 64);
      return regex.test(text);
    },
  };
}

// Ajv calls this in place of RegExp; the property is for schemas compiled to standalone code, which never happens here.
const regExp = Object.assign((pattern: string) => countedRegex(pattern), { code: "" });

// Longest text that a format's regular expression is asked about.
const maxFormatLength = 16_384;

function compileSchema(schema: Json): ValidateFunction {
  const ajv = newAjv({ code: { regExp }, validateSchema: false, meta: false });
  for (const [name, format] of Object.entries(ajv.formats)) {
    if (typeof format === "object" && !(format instanceof RegExp) && format.type === "number") continue;
    ajv.addFormat(name, { validate: (text: string) => text.length <= maxFormatLength && passes(format, text) });
  }
  ajv.addKeyword({
    keyword: "x-step",
    before: "type",
    code(context: KeywordCxt) {
      const counter = context.gen.scopeValue("obj", { ref: steps });
      context.gen.if(_`--${counter}.left < 0`, () => context.gen.throw(_`${counter}.spent`));
    },
  });
  ajv.removeKeyword("uniqueItems");
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    errors: false,
    validate: (wanted: boolean, items: readonly Json[]) => !wanted || areUnique(items),
  });
  return ajv.compile(withSteps(schema) as AnySchemaObject | boolean);
}

function passes(format: unknown, text: string): boolean {
  if (format === true) return true;
  if (format instanceof RegExp) return format.test(text);
  if (typeof format === "function") return format(text) === true;
  if (typeof format === "object" && format !== null && "validate" in format) return passes(format.validate, text);
  return true;
}

/** Ajv compares every item with every other; text with sorted keys compares each once. */
function areUnique(items: readonly Json[]): boolean {
  const seen = new Set<string>();
  for (const item of items) {
    const text = sortedText(item);
    step(1 + (text.length >> 4));
    if (seen.has(text)) return false;
    seen.add(text);
  }
  return true;
}

function sortedText(value: Json): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(sortedText).join(",")}]`;
  const object = value as JsonObject;
  return `{${Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${sortedText(object[key] ?? null)}`)
    .join(",")}}`;
}

/** A validator for a schema that passed `checkInputSchema`. Compiles on first use; never throws and never runs long. */
export function inputValidator(schema: Json | undefined): InputValidator {
  let validate: ValidateFunction | undefined;
  if (schema === undefined || schema === true) return () => [];
  return (input) => {
    validate ??= compileSchema(schema);
    steps.left = maxSteps;
    try {
      return validate(input) ? [] : reported(validate.errors ?? []);
    } catch (error) {
      if (error instanceof StepsSpent)
        return [{ pointer: "/input", message: "The input is too large to be checked against this workflow's schema." }];
      if (error instanceof RangeError) return [{ pointer: "/input", message: "The input is nested too deeply." }];
      throw error;
    }
  };
}

function reported(errors: readonly ErrorObject[]): readonly FieldFault[] {
  return errors.slice(0, maxReported).map(({ instancePath, message = "is wrong", keyword, params }) => ({
    pointer: `/input${instancePath}${keyword === "additionalProperties" ? pointerTo("", String(params["additionalProperty"])) : ""}`,
    message: sentence(keyword, message, params),
  }));
}

function sentence(keyword: string, message: string, params: Readonly<Record<string, unknown>>): string {
  switch (keyword) {
    case "additionalProperties":
      return "This property is not known to the schema.";
    case "required":
      return `The property ${JSON.stringify(params["missingProperty"])} is missing.`;
    case "enum":
      return `Must be one of ${JSON.stringify(params["allowedValues"]).slice(0, 300)}.`;
    case "uniqueItems":
      return "The items must differ from each other.";
    default:
      return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  }
}
