import { expect, test } from "vitest";
import { durationMs } from "./duration.ts";
import { parseDefinitionText } from "./parse-text.ts";

function message(text: string, format: "json" | "yaml"): string {
  const result = parseDefinitionText(text, format);
  return result.ok ? "ok" : (result.faults[0]?.message ?? "");
}

test("JSON and YAML of the same definition read the same", () => {
  const value = { name: "w", list: [1, 2.5, true, null, "x"], nested: { "a b": [] } };
  expect(parseDefinitionText(JSON.stringify(value), "json")).toEqual({ ok: true, value });
  expect(parseDefinitionText("name: w\nlist: [1, 2.5, true, null, x]\nnested: { a b: [] }\n", "yaml")).toEqual({
    ok: true,
    value,
  });
});

test("an alias is written out, and a few are allowed", () => {
  expect(parseDefinitionText("a: &x { b: 1 }\nc: *x\n", "yaml")).toEqual({ ok: true, value: { a: { b: 1 }, c: { b: 1 } } });
});

const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]`;

test.each([
  ["broken JSON", "{", "json", /not valid JSON/],
  ["a JSON key twice", '{"a":{"b":1,"\\u0062":2}}', "json", /"b" stands twice/],
  ["JSON too deep", `${"[".repeat(100)}${"]".repeat(100)}`, "json", /nested too deeply/],
  ["JSON much too deep", `${"[".repeat(400_000)}${"]".repeat(400_000)}`, "json", /nested too deeply|not valid/],
  ["too long a text", `"${"x".repeat(1_100_000)}"`, "json", /longer than/],
  ["broken YAML", "a: [", "yaml", /not valid YAML/],
  ["a YAML key twice", "a: 1\na: 2\n", "yaml", /"a" stands twice/],
  ["a tag", "a: !!js/function 'x'\n", "yaml", /not valid YAML/],
  ["a second document", "a: 1\n---\nb: 2\n", "yaml", /not valid YAML/],
  ["an alias bomb", bomb, "yaml", /too many YAML aliases|more than/],
  ["an alias of itself", "a: &a [*a]\n", "yaml", /./],
  ["a number that JSON has not", "a: .inf\n", "yaml", /JSON cannot say/],
  ["YAML too deep", `${"[".repeat(5000)}${"]".repeat(5000)}`, "yaml", /nested too deeply|not valid/],
] as const)("%s is refused with a sentence", (_name, text, format, expected) => {
  const found = message(text, format);
  expect(found).toMatch(expected);
  expect(found).not.toBe("ok");
});

test("a merge key is a key like any other", () => {
  expect(parseDefinitionText("a: &x { b: 1 }\nc: { <<: *x }\n", "yaml")).toEqual({
    ok: true,
    value: { a: { b: 1 }, c: { "<<": { b: 1 } } },
  });
});

test("durations are a whole number and a unit, up to 366 days", () => {
  expect(["250ms", "30s", "5m", "2h", "1d", "366d"].map(durationMs)).toEqual([
    250,
    30_000,
    300_000,
    7_200_000,
    86_400_000,
    366 * 86_400_000,
  ]);
  expect(["", "5", "s", "1.5s", "-1s", "1 s", "1h30m", "367d", "9999999999s", "1S"].map(durationMs)).toEqual(
    Array(10).fill(undefined),
  );
});
