import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { checkInputSchema, inputValidator } from "./input-schema.ts";

function validator(schema: Json) {
  expect(checkInputSchema(schema)).toEqual([]);
  return inputValidator(schema);
}

function quickly<T>(work: () => T): T {
  const start = performance.now();
  const result = work();
  expect(performance.now() - start).toBeLessThan(1500);
  return result;
}

test("faults have a pointer below /input and a sentence", () => {
  const check = validator({
    type: "object",
    additionalProperties: false,
    required: ["a"],
    properties: { a: { type: "array", items: { type: "integer" } }, "b/c": { enum: ["x"] }, e: { format: "email" } },
  });
  expect(check({ a: [1, "x"], "b/c": "y", d: 1, e: "no" })).toEqual([
    { pointer: "/input/d", message: "This property is not known to the schema." },
    { pointer: "/input/a/1", message: "Must be integer." },
    { pointer: "/input/b~1c", message: 'Must be one of ["x"].' },
    { pointer: "/input/e", message: 'Must match format "email".' },
  ]);
  expect(check({ a: [] })).toEqual([]);
});

test("without a schema everything fits; with false nothing does", () => {
  expect(inputValidator(undefined)({ any: "thing" })).toEqual([]);
  expect(inputValidator(false)({})).not.toEqual([]);
});

test("a recursive schema through properties works", () => {
  const check = validator({
    $ref: "#/$defs/tree",
    $defs: { tree: { type: "object", properties: { left: { $ref: "#/$defs/tree" }, v: { type: "number" } } } },
  });
  expect(check({ left: { left: { v: 1 } } })).toEqual([]);
  expect(check({ left: { left: { v: "x" } } })).toEqual([{ pointer: "/input/left/left/v", message: "Must be number." }]);
});

test("a schema that branches without end is stopped by its steps", () => {
  const tree = { allOf: [{ properties: { x: { $ref: "#/$defs/t" } } }, { properties: { x: { $ref: "#/$defs/t" } } }] };
  const check = validator({ $ref: "#/$defs/t", $defs: { t: tree } });
  let deep: Json = {};
  for (let level = 0; level < 60; level++) deep = { x: deep };
  expect(quickly(() => check(deep))).toEqual([
    { pointer: "/input", message: "The input is too large to be checked against this workflow's schema." },
  ]);
  expect(check({ x: { x: {} } })).toEqual([]);
});

test("slow patterns are quick, and texts too long for theirs are refused", () => {
  const check = validator({
    properties: { a: { pattern: "^(a+)+$" }, b: { pattern: "^(x|y){500}$" }, c: { pattern: "^[a-z]+$" } },
  });
  expect(check({ a: "aa", c: "b" })).toEqual([]);
  expect(check({ a: "b", c: "aa" })).toEqual([{ pointer: "/input/a", message: 'Must match pattern "^(a+)+$".' }]);
  expect(quickly(() => check({ a: `${"a".repeat(20_000)}!` }))).toHaveLength(1);
  expect(quickly(() => check({ b: "xy".repeat(100_000) }))).toEqual([
    { pointer: "/input", message: "The input is too large to be checked against this workflow's schema." },
  ]);
});

test("uniqueItems over many objects is quick and right", () => {
  const check = validator({ uniqueItems: true });
  const items = Array.from({ length: 20_000 }, (_, n) => ({ n, m: { k: n } }));
  expect(quickly(() => check(items))).toEqual([]);
  expect(quickly(() => check([...items, { m: { k: 7 }, n: 7 }]))).toEqual([
    { pointer: "/input", message: "The items must differ from each other." },
  ]);
});

test("formats of long texts are quick", () => {
  for (const format of [
    "email",
    "uri",
    "hostname",
    "date-time",
    "idn-email",
    "uri-template",
    "regex",
    "iri",
    "ipv6",
    "json-pointer",
  ]) {
    const check = validator({ format });
    for (const text of [
      "a.".repeat(8000),
      "1".repeat(16_000),
      `http://${"a/".repeat(8000)}`,
      `${"a@".repeat(8000)}`,
      ":".repeat(16_000),
    ])
      quickly(() => check(text));
  }
});

test("keys like those of a prototype are data in schemas and input", () => {
  const check = validator(
    JSON.parse('{"properties":{"constructor":{"type":"string"},"toString":{"type":"number"}},"required":["constructor"]}'),
  );
  expect(check({})).toHaveLength(1);
  expect(check(JSON.parse('{"constructor":"x","__proto__":{"toString":"no"}}'))).toEqual([]);
});
