import { expect, test } from "vitest";
import { parseDocument } from "./read-document.ts";
import { apiDuration, durationOption, intOption, listOption, pairOption } from "./read-options.ts";

test("a file is YAML 1.2, or JSON by its name", () => {
  expect(parseDocument("a: yes\nb: 0o17\n", "x.yaml")).toEqual({ a: "yes", b: 15 });
  expect(parseDocument('{"a": 1}', "x.JSON")).toEqual({ a: 1 });
  expect(parseDocument("", "-")).toBeNull();
});

test("a fault names the file and the line", () => {
  expect(() => parseDocument("a: 1\na: 2\n", "x.yaml")).toThrow(/^x\.yaml:2:1: /);
  expect(() => parseDocument("a: [", "-")).toThrow(/^standard input:1:/);
  expect(() => parseDocument("a: 1", "x.json")).toThrow(/^x\.json is no JSON: /);
});

test("a file that unfolds without bounds is refused", () => {
  const lists = Array.from(
    { length: 8 },
    (_, at) =>
      `a${at}: &a${at} [${Array(9)
        .fill(at === 0 ? "x" : `*a${at - 1}`)
        .join(", ")}]`,
  );
  expect(() => parseDocument(lists.join("\n"), "x.yaml")).toThrow(/can't be told in JSON/);
});

test("a key such as __proto__ is plain data", () => {
  const value = parseDocument('{"__proto__": {"a": 1}}', "x.yaml");
  expect(JSON.stringify(value)).toBe('{"__proto__":{"a":1}}');
});

test("options are read strictly", () => {
  expect(["500ms", "30s", "5m", "2h", "1d"].map(durationOption)).toEqual([500, 30_000, 300_000, 7_200_000, 86_400_000]);
  for (const text of ["", "5", "-5s", "1.5h", "s", "5 s"]) expect(() => durationOption(text)).toThrow(/unit/);
  expect(apiDuration(1_500)).toBe("1.5s");
  expect(intOption(-5, 5)("-5")).toBe(-5);
  for (const text of ["6", "1.0", "1e0", "", " 1"]) expect(() => intOption(-5, 5)(text)).toThrow(/whole number/);
  expect(listOption("b, c", ["a"])).toEqual(["a", "b", "c"]);
  expect(pairOption("a=b=c", { x: "" })).toEqual({ x: "", a: "b=c" });
  expect(() => pairOption("=b", undefined)).toThrow(/key=value/);
});
