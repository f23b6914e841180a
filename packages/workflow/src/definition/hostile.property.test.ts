import { readFileSync } from "node:fs";
import type { Json } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileTemplate } from "../expression/template.ts";
import { compileWorkflow } from "./compile-workflow.ts";
import { parseDefinitionText } from "./parse-text.ts";

const words = fc.constantFrom(
  "a",
  "b",
  "input",
  "nodes",
  "http",
  "transform",
  "foreach",
  "signal",
  "wait",
  "continue",
  "${ item }",
  "failed",
  "1s",
  "${ nodes.a }",
  "${ input.x",
  "${ 1 + 1 }",
  "__proto__",
  "$ref",
  "#",
  "object",
);
const leaf: fc.Arbitrary<Json> = fc.oneof(words, fc.integer(), fc.boolean(), fc.constant(null), fc.string());
const keys = fc.constantFrom(
  "id",
  "kind",
  "with",
  "needs",
  "node",
  "on",
  "when",
  "timeout",
  "retry",
  "attempts",
  "delay",
  "nodes",
  "output",
  "onError",
  "cache",
  "key",
  "ttl",
  "as",
  "url",
  "json",
  "type",
  "properties",
  "allOf",
  "$ref",
  "pattern",
  "items",
  "not",
  "__proto__",
  "constructor",
);
const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(keys, tie("value"), { maxKeys: 5 }),
  ),
}));

test("whatever is sent as a definition is compiled or refused with faults that say something", () => {
  const definition = fc.oneof(
    value,
    fc.record(
      { name: leaf, nodes: fc.array(value, { maxLength: 4 }), input: value, output: value, limits: value },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(definition, (drawn) => {
      const result = compileWorkflow(drawn);
      if (result.ok) return;
      expect(result.faults.length).toBeGreaterThan(0);
      for (const { pointer, message, mend } of result.faults) {
        expect(pointer === "" || pointer.startsWith("/")).toBe(true);
        expect(message).not.toBe("");
        expect(mend).not.toBe("");
      }
    }),
    { numRuns: 1500 },
  );
});

test("whatever passes as an input schema checks whatever input without throwing", () => {
  fc.assert(
    fc.property(value, value, (input, sent) => {
      const result = compileWorkflow({ name: "w", input, nodes: [{ id: "a", kind: "transform", with: 1 }] });
      if (result.ok) expect(Array.isArray(result.workflow.validateInput(sent))).toBe(true);
    }),
    { numRuns: 500 },
  );
  expect(compileWorkflow({ name: "w", input: { $ref: "#" }, nodes: [{ id: "a", kind: "transform", with: 1 }] }).ok).toBe(false);
});

test("whatever stands in a text is compiled or refused", () => {
  const pieces = fc.array(
    fc.constantFrom(
      "${",
      "}",
      "$",
      "'",
      '"',
      "{",
      "\\",
      "r'",
      "input",
      ".",
      "a",
      "[",
      "]",
      "(",
      ")",
      "?",
      ":",
      "map",
      "has",
      "1",
      "u",
      "e",
      "+",
      "-",
      " ",
      "/",
      "\n",
      "\u{1f600}",
      "\ud800",
    ),
    { maxLength: 25 },
  );
  fc.assert(
    fc.property(pieces, fc.boolean(), (drawn, closed) => {
      const text = closed ? `\${${drawn.join("")}}` : drawn.join("");
      const result = compileTemplate(text);
      if (!result.ok) expect(result.problems[0]?.message).toBeTruthy();
    }),
    { numRuns: 3000 },
  );
});

test("whatever is sent as YAML or JSON is read or refused", () => {
  const yaml = fc.array(
    fc.constantFrom(
      "a",
      ": ",
      "\n",
      "  ",
      "- ",
      "&x ",
      "*x",
      "!t ",
      "[",
      "]",
      "{",
      "}",
      ",",
      "|",
      ">",
      "'",
      '"',
      "---",
      "<<",
      "#",
      "?",
      "\t",
      "1e999",
      "\u0000",
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(yaml, fc.constantFrom("yaml", "json"), (drawn, format) => {
      const result = parseDefinitionText(drawn.join(""), format);
      if (!result.ok) expect(result.faults[0]?.message).toBeTruthy();
    }),
    { numRuns: 1500 },
  );
});

test.each([
  "workflows.md",
  ...["http", "transform", "foreach", "workflow", "wait", "signal", "approval"].map((kind) => `nodes/${kind}.md`),
])("the examples in docs/%s compile", (page) => {
  const text = readFileSync(new URL(`../../../../docs/${page}`, import.meta.url), "utf8");
  const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)]
    .map(([, block = ""]) => block)
    .filter((block) => !block.startsWith("retry:"));
  expect(blocks.length).toBeGreaterThan(0);
  for (const block of blocks) {
    const full = block.startsWith("- id")
      ? `nodes:\n  - { id: pages, kind: http, with: { url: "http://x.test" } }\n${block.replace(/^/gm, "  ")}`
      : block;
    const parsed = parseDefinitionText(full, "yaml");
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
    expect(compileWorkflow({ name: "example", ...(parsed.value as Record<string, Json>) })).toMatchObject({ ok: true });
  }
});
