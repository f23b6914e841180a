import type { Json } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { defaultResultLimits } from "../../expression/json-result.ts";
import { compileTemplate } from "../../expression/template.ts";
import { casesOf } from "./conditions.ts";
import { Findings } from "./import-report.ts";
import { references } from "./references.ts";
import { wrapped } from "./template-text.ts";

/** The truth of one condition on the input `v`; the optional input `w` is there for comparisons with a variable. */
function holds(condition: Readonly<Record<string, Json>>, v: Json | undefined, w: Json = null): Json {
  const variable = (name: string) => ({ variable: name, type: "paragraph", required: name === "w" });
  const findings = new Findings();
  const names = {
    nodes: new Map(),
    ids: new Map(),
    starts: new Set(["s"]),
    inputs: new Map([
      ["v", variable("v")],
      ["w", variable("w")],
    ]),
    environment: new Map(),
    placeholders: new Set<string>(),
    useSystem: () => undefined,
    useSecret: (name: string) => name,
  };
  const found = references(names, { before: new Set(), certain: new Set(), iterations: [], findings });
  const [first] = casesOf(
    { cases: [{ case_id: "x", conditions: [{ variable_selector: ["s", "v"], ...condition }] }] },
    found,
    findings,
  );
  const compiled = compileTemplate(wrapped(first?.expression ?? ""));
  if (!compiled.ok) throw new Error(JSON.stringify([first, compiled.problems]));
  const input = v === undefined ? { w } : { v, w };
  return compiled.template.run({ input, nodes: {}, errors: {}, task: {}, secrets: {} }, { left: 100_000 }, defaultResultLimits);
}

describe("every comparison of Dify", () => {
  test.each<[string, Json, Json | undefined, boolean, string?]>([
    ["contains", "ell", "hello", true, "string"],
    ["contains", "x", "hello", false, "string"],
    ["contains", "x", undefined, false, "string"],
    ["contains", "a", ["a", "b"], true],
    ["contains", "5", [5], true, "array[number]"],
    ["not contains", "x", "hello", true],
    ["not contains", "x", undefined, true],
    ["not contains", "a", ["a"], false],
    ["start with", "he", "hello", true],
    ["start with", "he", undefined, false],
    ["end with", "lo", "hello", true],
    ["end with", "he", "hello", false],
    ["is", "a", "a", true],
    ["is", "a", undefined, false],
    ["is", "true", true, true, "boolean"],
    ["is", false, false, true, "boolean"],
    ["is not", "a", "b", true],
    ["is not", "a", undefined, false],
    ["empty", "", undefined, true],
    ["empty", "", "", true, "string"],
    ["empty", "", [], true],
    ["empty", "", {}, true],
    ["empty", "", "x", false],
    ["not empty", "", [1], true],
    ["not empty", "", "", false],
    ["=", "5", 5, true, "number"],
    ["=", 5, 5, true, "number"],
    ["=", "5", undefined, false, "number"],
    ["≠", "5", 6, true, "number"],
    ["≠", "5", undefined, false, "number"],
    [">", "5", 6, true, "number"],
    [">", "5", 5, false, "number"],
    [">", "5", undefined, false, "number"],
    ["<", "-1.5", -2, true, "number"],
    ["≥", "5", 5, true, "number"],
    ["≤", "5", 6, false, "number"],
    ["null", "", undefined, true],
    ["null", "", "x", false],
    ["not null", "", 0, true],
    ["in", ["a", "b"], "a", true],
    ["in", ["a", "b"], "c", false],
    ["not in", ["a"], "c", true],
    ["all of", ["a", "b"], ["b", "c", "a"], true],
    ["all of", ["a", "b"], ["b"], false],
    ["all of", ["a"], undefined, false],
    ["exists", "", {}, true],
    ["not exists", "", undefined, true],
  ])("%s %j, of %j: %j", (comparison_operator, value, v, expected, varType) => {
    expect(holds({ comparison_operator, value, ...(varType === undefined ? {} : { varType }) }, v)).toBe(expected);
  });

  test("the other side may be a variable, alone or inside a text", () => {
    expect(holds({ comparison_operator: "is", value: "{{#s.w#}}" }, "x", "x")).toBe(true);
    expect(holds({ comparison_operator: "contains", value: "a-{{#s.w#}}" }, "b a-7", 7)).toBe(true);
    expect(holds({ comparison_operator: ">", value: "{{#s.w#}}", varType: "number", numberVarType: "variable" }, 3, 2)).toBe(
      true,
    );
  });

  test("conditions on files look at each of them", () => {
    const sub = (comparison_operator: string, value: Json) => ({
      comparison_operator: "contains",
      sub_variable_condition: { logical_operator: "and", conditions: [{ key: "type", comparison_operator, value }] },
    });
    const files = [{ type: "image" }, { type: "audio" }];
    expect(holds(sub("is", "audio"), files)).toBe(true);
    expect(holds(sub("is not", "audio"), files)).toBe(false);
    expect(holds(sub("is", "video"), undefined)).toBe(false);
  });

  test("a comparison that is not known counts as false, and is reported", () => {
    const findings = new Findings();
    const unused = { value: () => "1", pieces: () => [], text: () => "", isText: () => false, firstOf: () => "null" };
    const [one] = casesOf({ conditions: [{ comparison_operator: "sounds like" }] }, unused, findings);
    expect(one).toEqual({ id: "true", expression: "false" });
    expect(findings.lost).toMatchObject([{ what: 'comparison "sounds like"' }]);
  });
});
