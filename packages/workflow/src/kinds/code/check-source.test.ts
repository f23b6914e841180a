import { expect, test } from "vitest";
import { compileWorkflow } from "../../definition/compile-workflow.ts";
import { checkSource } from "./check-source.ts";
import { maxSourceLength } from "./schema.ts";

const messages = (source: string) => checkSource(source).map(({ message }) => message);

test.each([
  "export default (input) => input",
  "export default async function main(input) { return await input; }",
  "const main = () => 1;\nexport { main as default };",
  "const main = () => 1;\nexport default main;",
  "const make = () => () => 1;\nexport default make();",
  'await null;\nexport { x as "default" }; function x() { return `${1}`; }',
  "export default (a) => a?.b ?? a.c?.[0] ** 2; class A { #x = 1; static { } }",
])("%s is fine", (source) => {
  expect(checkSource(source)).toEqual([]);
});

test("a syntax error tells its line and column", () => {
  expect(checkSource("export default (input) => {\n  return input +;\n}")).toEqual([
    {
      pointer: "/source",
      message: "syntax error at line 2, column 17: Unexpected token",
      mend: expect.stringContaining("ES module"),
    },
  ]);
});

test("imports and re-exports are named with their place", () => {
  const source = 'import fs from "node:fs";\nexport default () => 1;\nexport * from "./x.js";';
  expect(messages(source)).toEqual([
    'the import of "node:fs" at line 1, column 1 is not possible: there are no modules',
    'the import of "./x.js" at line 3, column 1 is not possible: there are no modules',
  ]);
});

test("a default export must be there and may not be something that can't be called", () => {
  expect(messages("export const main = () => 1;")).toEqual(["the source has no default export"]);
  expect(messages("module.exports = () => 1;")).toEqual(["the source has no default export"]);
  expect(messages("export default { main() {} }")).toEqual(["the default export at line 1, column 1 is not a function"]);
  expect(messages("export default class {}")).toEqual(["the default export at line 1, column 1 is not a function"]);
});

test("a source that is too deep to parse is left to the run, and none takes long", () => {
  const deep = maxSourceLength / 2;
  const started = performance.now();
  expect(checkSource(`export default ${"(".repeat(deep)}${")".repeat(deep - 100)}`)).toEqual([]);
  for (const piece of ["(a=", "[", "`${", "a=>", "async(", "/(", "x\n", "{(", "<!--", "\\u{", "1+"]) {
    const source = piece.repeat(Math.floor(maxSourceLength / piece.length));
    expect(checkSource(source).length).toBeLessThanOrEqual(1);
  }
  expect(performance.now() - started).toBeLessThan(5000);
});

test("a definition with a broken source is refused with the node and the place", () => {
  const definition = (source: string) => ({
    name: "w",
    nodes: [{ id: "sum", kind: "code", with: { source, input: "${ input }" } }],
  });
  expect(compileWorkflow(definition("export default () => { return 1"))).toMatchObject({
    ok: false,
    faults: [{ pointer: "/nodes/0/with/source", node: "sum", message: expect.stringContaining("syntax error at line 1") }],
  });
  expect(compileWorkflow(definition("export default (input) => `${ input.a } $${ 1 }`"))).toMatchObject({ ok: true });
});
