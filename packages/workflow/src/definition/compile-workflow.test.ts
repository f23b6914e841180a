import type { DefinitionFault, Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { newAjv } from "./ajv.ts";
import { compileWorkflow } from "./compile-workflow.ts";
import type { CompiledWorkflow } from "./compiled-workflow.ts";
import { parseDefinitionText } from "./parse-text.ts";
import { workflowSchema } from "./workflow-schema.ts";

function faultsOf(definition: unknown): readonly DefinitionFault[] {
  const result = compileWorkflow(definition);
  return result.ok ? [] : result.faults;
}

function compiled(definition: unknown): CompiledWorkflow {
  const result = compileWorkflow(definition);
  if (!result.ok) throw new Error(JSON.stringify(result.faults, null, 2));
  return result.workflow;
}

function nodes(...list: readonly Json[]): Json {
  return { name: "w", nodes: list };
}

function step(id: string, more: Record<string, Json> = {}): Json {
  return { id, kind: "transform", with: {}, ...more };
}

const whole = `
name: summarise
description: An example with everything in it.
input: { type: object, required: [url], properties: { url: { type: string, format: uri }, n: { type: integer } } }
limits: { concurrency: 20, deadline: 2h, tokens: 50000 }
nodes:
  - id: report
    kind: transform
    needs: [page, { node: other, on: failed }]
    when: "\${ nodes.page.status == 200 }"
    with: { text: "\${ nodes.page.body }", other: "\${ errors.other.code }" }
  - id: page
    kind: http
    with: { method: GET, url: "\${ input.url }", acceptStatus: [2xx, 404], query: { a: [1, x], b: "\${ input.n }" } }
    timeout: 30s
    retry: { attempts: 4, delay: 1s, factor: 2, max: 30s }
  - { id: other, kind: http, with: { method: POST, url: "http://x.test/\${ task.id }", json: "\${ input }" } }
output: { text: "\${ has(nodes.report) ? nodes.report.text : null }" }
`;

test("a definition with everything in it compiles, nodes in the order of their needs", () => {
  const text = parseDefinitionText(whole, "yaml");
  if (!text.ok) throw new Error(JSON.stringify(text.faults));
  const workflow = compiled(text.value);
  expect(workflow.nodes.map(({ id }) => id)).toEqual(["page", "other", "report"]);
  expect(workflow.limits).toEqual({ concurrency: 20, deadlineMs: 7_200_000, tokens: 50_000 });
  expect(workflow.supportsAsync).toBe(true);
  expect(workflow.leaves).toEqual(["report"]);
  const [page, other, report] = workflow.nodes;
  expect(page).toMatchObject({
    timeoutMs: 30_000,
    retry: { attempts: 4, delayMs: 1000, factor: 2, maxMs: 30_000 },
    failureHandled: false,
  });
  expect(other).toMatchObject({ timeoutMs: 60_000, retry: { attempts: 1 }, failureHandled: true });
  expect(report?.needs).toEqual([
    { node: "page", on: "succeeded" },
    { node: "other", on: "failed" },
  ]);
  expect(workflow.validateInput({ url: "http://a.test" })).toEqual([]);
  expect(workflow.validateInput({ url: 5 })).toEqual([{ pointer: "/input/url", message: "Must be string." }]);
  expect(workflow.validateInput({})).toEqual([{ pointer: "/input", message: 'The property "url" is missing.' }]);
  // The schema for editors agrees.
  expect(newAjv().validate(workflowSchema, text.value)).toBe(true);
});

const golden: readonly (readonly [string, unknown, readonly (readonly [string, string, RegExp, RegExp])[]])[] = [
  ["not an object", [], [["", "", /must be of type object/, /./]]],
  [
    "nothing in it",
    {},
    [
      ["", "", /"name" is missing/, /Add name/],
      ["", "", /"nodes" is missing/, /Add nodes/],
    ],
  ],
  ["no nodes", { name: "w", nodes: [] }, [["/nodes", "", /fewer than 1/, /./]]],
  ["a mistyped key", { name: "w", nodes: [step("a")], limts: {} }, [["/limts", "", /no key "limts"/, /Did you mean "limits"/]]],
  ["a name with a slash", { name: "a/b", nodes: [step("a")] }, [["/name", "", /"a\/b" is not a name/, /./]]],
  [
    "a mistyped key of a node",
    nodes(step("a", { nedes: [] })),
    [["/nodes/0/nedes", "a", /no key "nedes"/, /Did you mean "needs"/]],
  ],
  [
    "an unknown kind",
    nodes({ id: "a", kind: "htpp", with: {} }),
    [["/nodes/0/kind", "a", /kind "htpp" is not available; have: http, transform/, /Did you mean "http"/]],
  ],
  [
    "a kind of a later version",
    nodes({ id: "a", kind: "agent", with: {} }),
    [["/nodes/0/kind", "a", /kind "agent" is not available/, /Use one of http, transform/]],
  ],
  ["no kind", nodes({ id: "a" }), [["/nodes/0/kind", "a", /no kind/, /http, transform/]]],
  ["an id twice", nodes(step("a"), step("a")), [["/nodes/1/id", "a", /already that of \/nodes\/0/, /own id/]]],
  [
    "a need that is no node",
    nodes(step("fetch"), step("b", { needs: ["fetsch"] })),
    [["/nodes/1/needs/0", "b", /no such node/, /Did you mean "fetch"/]],
  ],
  ["a need of itself", nodes(step("a", { needs: ["a"] })), [["/nodes/0/needs/0", "a", /cannot need itself/, /Remove/]]],
  [
    "a need twice",
    nodes(step("a"), step("b", { needs: ["a", { node: "a", on: "failed" }] })),
    [["/nodes/1/needs/1", "b", /needed twice/, /Keep one/]],
  ],
  [
    "a need of another form",
    nodes(step("a"), step("b", { needs: [7] })),
    [["/nodes/1/needs/0", "b", /must be the id of a node, or/, /./]],
  ],
  [
    "a cycle",
    nodes(step("a", { needs: ["c"] }), step("b", { needs: ["a"] }), step("c", { needs: ["b"] }), step("d", { needs: ["c"] })),
    [["/nodes/0/needs", "a", /circle: a needs c needs b needs a/, /Remove one/]],
  ],
  [
    "a duration that is none",
    nodes(step("a", { timeout: "5 minutes" })),
    [["/nodes/0/timeout", "a", /"5 minutes" is not a duration/, /30s/]],
  ],
  [
    "a duration without length",
    nodes(step("a", { timeout: "0s" })),
    [["/nodes/0/timeout", "a", /no time at all/, /at least 1ms/]],
  ],
  [
    "a deadline of years",
    { name: "w", limits: { deadline: "9000d" }, nodes: [step("a")] },
    [["/limits/deadline", "", /longer than 366 days/, /366d/]],
  ],
  ["retries without end", nodes(step("a", { retry: { attempts: 0 } })), [["/nodes/0/retry/attempts", "a", />= 1/, /How often/]]],
  [
    "an open expression",
    nodes(step("a", { with: { x: ["ok", "${ input.a"] } })),
    [["/nodes/0/with/x/1", "a", /no closing brace/, /\$\$\{/]],
  ],
  [
    "an expression with bad syntax",
    nodes(step("a", { with: "${ input. }" })),
    [["/nodes/0/with", "a", /in \$\{ input\. \}: syntax error at character \d+/, /CEL syntax/]],
  ],
  [
    "an unknown name",
    nodes(step("a", { with: "${ inptu.a }" })),
    [["/nodes/0/with", "a", /no name "inptu"/, /Did you mean "input"/]],
  ],
  [
    "an unknown function",
    nodes(step("a", { with: "${ input.a.splitt(',') }" })),
    [["/nodes/0/with", "a", /no function "splitt"/, /Did you mean "split"/]],
  ],
  [
    "a wrong number of arguments",
    nodes(step("a", { with: "${ size() }" })),
    [["/nodes/0/with", "a", /size\(\) takes 1 arguments, not 0/, /./]],
  ],
  [
    "a node that is not there",
    nodes(step("page"), step("b", { needs: ["page"], with: "${ nodes.pagee.x }" })),
    [["/nodes/1/with", "b", /nodes\.pagee is used, but there is no such node/, /nodes\.page\?/]],
  ],
  [
    "a node that does not come before",
    nodes(step("a"), step("b", { with: { v: "${ nodes.a }" } })),
    [["/nodes/1/with/v", "b", /"a" does not come before/, /Add "a" to its needs/]],
  ],
  ["its own result", nodes(step("a", { when: "${ nodes.a.ok }" })), [["/nodes/0/when", "a", /the node itself/, /./]]],
  [
    "an unknown node in output",
    { name: "w", nodes: [step("a")], output: { x: "${ nodes.missing }" } },
    [["/output/x", "", /no such node/, /nodes are a/]],
  ],
  [
    "what a task has not",
    nodes(step("a", { with: "${ task.attempt }" })),
    [["/nodes/0/with", "a", /no field "attempt"/, /createTime/]],
  ],
  ["item outside foreach", nodes(step("a", { with: "${ item }" })), [["/nodes/0/with", "a", /only inside a foreach/, /./]]],
  [
    "when that is text",
    nodes(step("a", { when: "yes" })),
    [["/nodes/0/when", "a", /must be one expression/, /nodes\.x\.status/]],
  ],
  ["a call without url", nodes({ id: "a", kind: "http", with: {} }), [["/nodes/0/with", "a", /"url" is missing/, /Add url/]]],
  [
    "a wrong method",
    nodes({ id: "a", kind: "http", with: { url: "http://x.test", method: "CONNECT" } }),
    [["/nodes/0/with/method", "a", /such as GET or PURGE, but not TRACE or CONNECT/, /./]],
  ],
  [
    "two bodies",
    nodes({ id: "a", kind: "http", with: { url: "http://x.test", json: 1, form: {} } }),
    [["/nodes/0/with/form", "a", /json and form are given/, /Keep one/]],
  ],
  [
    "a status that is none",
    nodes({ id: "a", kind: "http", with: { url: "http://x.test", acceptStatus: ["ok"] } }),
    [["/nodes/0/with/acceptStatus/0", "a", /a status such as 404/, /./]],
  ],
  [
    "a schema that is none",
    { name: "w", input: { type: "objet" }, nodes: [step("a")] },
    [["/input/type", "", /schema is not valid/, /2020-12/]],
  ],
  [
    "a schema from elsewhere",
    { name: "w", input: { properties: { a: { $ref: "http://x.test/s.json" } } }, nodes: [step("a")] },
    [["/input/properties/a/$ref", "", /outside the definition/, /\$defs/]],
  ],
  [
    "a schema that leads nowhere",
    { name: "w", input: { $ref: "#/$defs/none" }, nodes: [step("a")] },
    [["/input", "", /cannot be used/, /./]],
  ],
  [
    "a pattern with look-ahead",
    { name: "w", input: { properties: { a: { pattern: "(?=x)y" } } }, nodes: [step("a")] },
    [["/input/properties/a/pattern", "", /pattern cannot be used/, /RE2/]],
  ],
  [
    "a schema that goes in circles",
    {
      name: "w",
      input: { $defs: { a: { allOf: [{ $ref: "#/$defs/b" }] }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" },
      nodes: [step("a")],
    },
    [["/input", "", /leads back to itself/, /./]],
  ],
];

test.each(golden)("a definition with %s is refused with place, node and mend", (_name, definition, expected) => {
  const faults = faultsOf(definition);
  expect(faults.map(({ pointer, node }) => [pointer, node])).toEqual(expected.map(([pointer, node]) => [pointer, node]));
  for (const [index, [, , message, mend]] of expected.entries()) {
    expect(faults[index]?.message).toMatch(message);
    expect(faults[index]?.mend).toMatch(mend);
  }
});

test("every fault is reported at once, at most a hundred", () => {
  const bad = nodes(step("a", { timeout: "x", needs: ["zzz"], with: "${ y }" }), step("b", { with: "${ 1 + }", what: 1 }));
  expect(faultsOf(bad).map(({ pointer }) => pointer)).toEqual(
    expect.arrayContaining(["/nodes/0/timeout", "/nodes/0/with", "/nodes/1/what", "/nodes/1/with"]),
  );
  const many = { name: "w", nodes: Array.from({ length: 300 }, (_, index) => step(`n${index}`, { with: "${ nope }" })) };
  expect(faultsOf(many)).toHaveLength(100);
});

test("a graph of 500 nodes compiles, one of 501 does not", () => {
  const chain = (length: number) => ({
    name: "w",
    nodes: Array.from({ length }, (_, index) => step(`n${index}`, index === 0 ? {} : { needs: [`n${index - 1}`] })),
  });
  expect(compiled(chain(500)).nodes).toHaveLength(500);
  expect(faultsOf(chain(501))[0]).toMatchObject({ pointer: "/nodes" });
});

test("what is no JSON, too deep, or named like a prototype is refused or kept as data", () => {
  const loop: Record<string, unknown> = { name: "w" };
  loop["nodes"] = [loop];
  expect(faultsOf(loop)[0]?.message).toMatch(/not JSON, or nested deeper/);
  for (const value of [undefined, null, 1, "x", () => 1, new Map()]) expect(faultsOf(value).length).toBeGreaterThan(0);
  expect(faultsOf(JSON.parse('{"name":"w","nodes":[],"__proto__":{"polluted":true}}')).length).toBeGreaterThan(0);
  const data = compiled(
    JSON.parse('{"name":"w","nodes":[{"id":"constructor","kind":"transform","with":{"__proto__":{"a":1}}}]}'),
  );
  expect(JSON.stringify(data.nodes[0]?.input.source)).toBe('{"__proto__":{"a":1}}');
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});
