import { tests } from "@bufbuild/cel-spec/testdata/conformance.js";
import { expect, test } from "vitest";
import { type Cel, CelFault, Duration, isList, isMap, Timestamp, TypeName, Uint } from "./cel-value.ts";
import { mapGet, mapKeys } from "./compare.ts";
import { compileExpression } from "./compile-expression.ts";
import { durationText, timestampText } from "./time.ts";

interface Example {
  readonly name: string;
  readonly expr: string;
  readonly value?: Record<string, unknown>;
  readonly evalError?: unknown;
}

interface Suite {
  readonly name: string;
  readonly suites?: readonly Suite[];
  readonly tests?: readonly { readonly original: unknown }[];
}

// The suites of the CEL specification about the language without protobuf messages.
const covered = [
  "basic",
  "comparisons",
  "conversions",
  "fp_math",
  "integer_math",
  "lists",
  "logic",
  "macros",
  "parse",
  "plumbing",
  "string",
  "string_ext",
  "timestamps",
];

// What Longhaul does otherwise on purpose: no protobuf types and variables, and numbers mix.
const elsewhere = [
  /google\.protobuf|TestAllTypes|cel\.expr|proto[23]/,
  // Numbers mix, and doubles without a fraction are whole numbers, because that is what JSON has.
  // Unknown names and functions are refused before anything runs.
  /unbound_is_runtime_error|receiver_function_names/,
  // Ints and doubles compare by their exact values, and a span may be as long as all of time.
  /big_lossy_double|dyn_big_double_int|sub_time_duration_(over|under)/,
  /self_eval_bytes_invalid_utf8|no_dmod|mod_not_support|binop_not_support|double_index|non_key_fp/,
];

function examples(suite: Suite, path: string): readonly (readonly [string, Example])[] {
  const own = (suite.tests ?? []).map(({ original }) => original as Example);
  return [
    ...own.map((example) => [`${path} ${example.name}`, example] as const),
    ...(suite.suites ?? []).flatMap((inner) => examples(inner, `${path}/${inner.name}`)),
  ];
}

function expected(value: Record<string, unknown>): unknown {
  const [[kind, raw] = ["", undefined]] = Object.entries(value);
  switch (kind) {
    case "int64Value":
      return { int: String(raw) };
    case "uint64Value":
      return { uint: String(raw) };
    case "doubleValue":
      return { double: String(Number(raw)) };
    case "nullValue":
      return null;
    case "bytesValue":
      return { bytes: raw };
    case "typeValue":
      return { type: raw };
    case "listValue":
      return ((raw as { values?: Record<string, unknown>[] }).values ?? []).map(expected);
    case "mapValue":
      return {
        map: ((raw as { entries?: { key: Record<string, unknown>; value: Record<string, unknown> }[] }).entries ?? [])
          .map((entry) => JSON.stringify([expected(entry.key), expected(entry.value)]))
          .sort(),
      };
    case "objectValue":
      return { text: (raw as { value: unknown }).value };
    default:
      return raw;
  }
}

function actual(value: Cel): unknown {
  if (typeof value === "bigint") return { int: String(value) };
  if (typeof value === "number") return { double: String(value) };
  if (value instanceof Uint) return { uint: String(value.value) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("base64") };
  if (value instanceof TypeName) return { type: value.name };
  if (value instanceof Timestamp) return { text: timestampText(value) };
  if (value instanceof Duration) return { text: durationText(value) };
  if (isList(value)) return value.map(actual);
  const keys = mapKeys(value);
  if (keys === undefined) return value;
  return {
    map: keys.map((key) => JSON.stringify([actual(isMap(value) ? key : String(key)), actual(mapGet(value, key) ?? null)])).sort(),
  };
}

function run(source: string): unknown {
  const compiled = compileExpression(source);
  if (!compiled.ok) return "error";
  const scope = { input: null, nodes: {}, errors: {}, task: {}, secrets: {} };
  try {
    return actual(compiled.expression.run({ scope, meter: { left: 1e6 }, slots: [] }));
  } catch (error) {
    if (error instanceof CelFault) return "error";
    throw error;
  }
}

const all = (tests.suites ?? [])
  .filter(({ name }) => covered.includes(name))
  .flatMap((suite) => examples(suite as Suite, suite.name))
  .filter(([name, example]) => {
    const facts = JSON.stringify(example);
    if (/"(bindings|container|typeEnv|checkOnly|disableMacros|any_eval_errors|unknown)"/.test(facts)) return false;
    return !elsewhere.some((pattern) => pattern.test(facts) || pattern.test(name));
  });

test("the specification's examples are there", () => {
  expect(all.length).toBeGreaterThan(700);
});

test.each(all)("CEL specification: %s", (_name, { expr, value, evalError }) => {
  expect(run(expr)).toEqual(evalError === undefined ? expected(value ?? { boolValue: true }) : "error");
});
