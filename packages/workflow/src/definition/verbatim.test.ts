import { expect, test } from "vitest";
import { compileTemplate } from "../expression/template.ts";
import { quoteVerbatim } from "./verbatim.ts";

test.each([
  "plain",
  "`${x}`",
  "${ whole }",
  "$${x} costs $$${y}",
  "${${${",
  "$$",
  "an open ${ brace",
  "`${ { a: '}' } }` and $& $1 $`",
])("the text %j of a verbatim key comes out of its template as it went in, and the others are evaluated", (text) => {
  const result = compileTemplate(quoteVerbatim({ source: text, input: "${ input.n }" }, ["source"]));
  if (!result.ok) throw new Error("it does not compile");
  expect(result.template.run({ input: { n: 7 }, nodes: {}, errors: {}, task: {}, secrets: {} }, { left: 1000 })).toEqual({
    source: text,
    input: 7,
  });
});

test("all texts below a key at the top of with are quoted, no others, and what is no object stays as it is", () => {
  const value = { source: { deep: ["${ a }", 1] }, other: { source: "${ b }" } };
  expect(quoteVerbatim(value, ["source"])).toEqual({ source: { deep: ["$${ a }", 1] }, other: { source: "${ b }" } });
  expect(quoteVerbatim("${ a }", ["source"])).toBe("${ a }");
});
