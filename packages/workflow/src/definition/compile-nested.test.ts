import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { acceptedBy, acceptedByName, payloadFaults } from "./accepted-by.ts";
import { compileWorkflow } from "./compile-workflow.ts";
import type { CompiledWorkflow } from "./compiled-workflow.ts";

function compiled(nodes: readonly Json[], more: Readonly<Record<string, Json>> = {}): CompiledWorkflow {
  const result = compileWorkflow({ name: "test", nodes, ...more });
  if (!result.ok) throw new Error(JSON.stringify(result.faults, null, 2));
  return result.workflow;
}

function faultsOf(nodes: readonly Json[], more: Readonly<Record<string, Json>> = {}) {
  const result = compileWorkflow({ name: "test", nodes, ...more });
  if (result.ok) throw new Error("it compiles");
  return result.faults;
}

function step(id: string, value: Json = 1, more: Readonly<Record<string, Json>> = {}): Json {
  return { id, kind: "transform", with: value, ...more };
}

function each(nodes: readonly Json[], more: Readonly<Record<string, Json>> = {}): Json {
  return { id: "each", kind: "foreach", with: { items: "${ input.list }", as: "row" }, nodes, ...more };
}

const golden: readonly (readonly [string, readonly Json[], string, string, RegExp, RegExp])[] = [
  [
    "an inner node that is not right",
    [each([{ id: "call", kind: "http", with: {} }])],
    "/nodes/0/nodes/0/with",
    "each[].call",
    /"url" is missing/,
    /Add url/,
  ],
  [
    "an inner need of a node outside",
    [step("a"), each([step("b", 1, { needs: ["a"] })], { needs: ["a"] })],
    "/nodes/1/nodes/0/needs/0",
    "each[].b",
    /needs "a", but there is no such node/,
    /Did you mean "b"/,
  ],
  [
    "an inner circle",
    [each([step("b", 1, { needs: ["c"] }), step("c", 1, { needs: ["b"] })])],
    "/nodes/0/nodes/0/needs",
    "each[].b",
    /circle: b needs c needs b/,
    /Remove one/,
  ],
  [
    "an id of the outside inside",
    [step("a"), each([step("a")])],
    "/nodes/1/nodes/0/id",
    "each[].a",
    /node outside too/,
    /another/,
  ],
  [
    "two inner nodes of one id",
    [each([step("a"), step("a")])],
    "/nodes/0/nodes/1/id",
    "each[].a",
    /already that of \/nodes\/0\/nodes\/0/,
    /own id/,
  ],
  [
    "the use of what does not come before the foreach",
    [step("a"), each([step("b", "${ nodes.a }")])],
    "/nodes/1/nodes/0/with",
    "each[].b",
    /"a" does not come before "each", which this is inside of/,
    /Add "a" to the needs of "each"/,
  ],
  [
    "the use of the foreach inside of it",
    [each([step("b", "${ nodes.each }")])],
    "/nodes/0/nodes/0/with",
    "each[].b",
    /inside of/,
    /behind that node/,
  ],
  [
    "the use of an inner node outside",
    [each([step("b")]), step("c", "${ nodes.b }", { needs: ["each"] })],
    "/nodes/1/with",
    "c",
    /there is no such node/,
    /./,
  ],
  [
    "an inner output of a node that is not before",
    [step("a"), each([step("b")], { output: "${ nodes.a }" })],
    "/nodes/1/output",
    "each",
    /does not come before "each"/,
    /./,
  ],
  ["item outside", [step("a", "${ item }")], "/nodes/0/with", "a", /item exists only inside a foreach/, /./],
  [
    "the name of items outside",
    [each([step("b", "${ row }")]), step("c", "${ row }")],
    "/nodes/1/with",
    "c",
    /there is no name "row"/,
    /./,
  ],
  [
    "a name for items that means something else",
    [{ id: "each", kind: "foreach", with: { items: [], as: "input" }, nodes: [step("a")] }],
    "/nodes/0/with/as",
    "each",
    /meaning of its own/,
    /another name/,
  ],
  [
    "a foreach without nodes",
    [{ id: "each", kind: "foreach", with: { items: [] } }],
    "/nodes/0",
    "each",
    /"nodes" is missing/,
    /Add nodes/,
  ],
  ["a retry of a foreach", [each([step("a")], { retry: { attempts: 2 } })], "/nodes/0/retry", "each", /no key "retry"/, /./],
  ["nodes in a node of another kind", [step("a", 1, { nodes: [] })], "/nodes/0/nodes", "a", /no key "nodes"/, /./],
  [
    "an edge behind a failure that cannot be",
    [step("a", 1, { onError: "continue" }), step("b", 1, { needs: [{ node: "a", on: "failed" }] })],
    "/nodes/1/needs/0",
    "b",
    /"a" never fails/,
    /Remove onError from "a"/,
  ],
  [
    "an onError of another form",
    [step("a", 1, { onError: "ignore" })],
    "/nodes/0/onError",
    "a",
    /must be "fail", "continue", or/,
    /./,
  ],
  [
    "the use of another failure in onError",
    [step("a", 1, { onError: { output: "${ errors.b }" } }), step("b")],
    "/nodes/0/onError/output",
    "a",
    /"b" does not come before/,
    /./,
  ],
  [
    "a cache of what is secret",
    [step("a", 1, { cache: { key: 1, ttl: "1h" }, secret: true })],
    "/nodes/0/cache",
    "a",
    /secret node is not kept/,
    /./,
  ],
  [
    "a cache of a signal",
    [{ id: "a", kind: "signal", cache: { key: 1, ttl: "1h" } }],
    "/nodes/0/cache",
    "a",
    /no result that could be kept/,
    /./,
  ],
  ["a cache for no time", [step("a", 1, { cache: { key: 1, ttl: "0s" } })], "/nodes/0/cache/ttl", "a", /no time at all/, /./],
  ["onUnknown of what calls nobody", [step("a", 1, { onUnknown: "ask" })], "/nodes/0/onUnknown", "a", /calls nobody/, /Remove/],
  [
    "a code to retry that is none",
    [{ id: "a", kind: "http", with: { url: "http://x.test" }, retry: { on: ["Not A Code"] } }],
    "/nodes/0/retry/on/0",
    "a",
    /does not match/,
    /./,
  ],
  [
    "a wait for nothing",
    [{ id: "a", kind: "wait", with: {} }],
    "/nodes/0/with",
    "a",
    /exactly one of for and until/,
    /for: "10m"/,
  ],
  [
    "a wait that is no duration",
    [{ id: "a", kind: "wait", with: { for: "soon" } }],
    "/nodes/0/with/for",
    "a",
    /"soon" is not a duration/,
    /30s/,
  ],
  [
    "a wait with a timeout of its own",
    [{ id: "a", kind: "wait", with: { for: "1s" }, timeout: "1s" }],
    "/nodes/0/timeout",
    "a",
    /no key "timeout"/,
    /./,
  ],
  [
    "a signal of which the schema is wrong",
    [{ id: "a", kind: "signal", with: { schema: { type: "strin" } } }],
    "/nodes/0/with/schema/type",
    "a",
    /schema is not valid/,
    /./,
  ],
  [
    "a signal that waits too long",
    [{ id: "a", kind: "signal", with: { timeout: "9999d" } }],
    "/nodes/0/with/timeout",
    "a",
    /longer than 366 days/,
    /./,
  ],
  ["an approval that asks nothing", [{ id: "a", kind: "approval", with: {} }], "/nodes/0/with", "a", /"prompt" is missing/, /./],
  [
    "a choice for the timeout that is none",
    [{ id: "a", kind: "approval", with: { prompt: "?", timeout: "1h", onTimeout: "maybe" } }],
    "/nodes/0/with/onTimeout",
    "a",
    /not one of the choices/,
    /approve, reject/,
  ],
  [
    "a choice for a timeout that there is not",
    [{ id: "a", kind: "approval", with: { prompt: "?", onTimeout: "reject" } }],
    "/nodes/0/with/onTimeout",
    "a",
    /needs a timeout/,
    /./,
  ],
  [
    "a workflow node without a name",
    [{ id: "a", kind: "workflow", with: { input: {} } }],
    "/nodes/0/with",
    "a",
    /"name" is missing/,
    /./,
  ],
];

test.each(golden)("a definition with %s is refused with place, node and mend", (_name, nodes, pointer, node, message, mend) => {
  const faults = faultsOf(nodes);
  expect(faults.map((fault) => [fault.pointer, fault.node])).toEqual([[pointer, node]]);
  expect(faults[0]?.message).toMatch(message);
  expect(faults[0]?.mend).toMatch(mend);
});

test("nodes inside of others count as nodes, and levels are bounded", () => {
  const many = Array.from({ length: 400 }, (_, index) => step(`a${index}`));
  const inner = Array.from({ length: 101 }, (_, index) => step(`b${index}`));
  expect(faultsOf([...many, each(inner)])).toMatchObject([
    { pointer: "/nodes", message: "there are 502 nodes, those inside of others included" },
  ]);
  const deep = (level: number): Json =>
    level === 0 ? step("leaf") : { id: `l${level}`, kind: "foreach", with: { items: [] }, nodes: [deep(level - 1)] };
  expect(compiled([deep(4)]).nodes).toHaveLength(1);
  expect(faultsOf([deep(5)])).toMatchObject([{ message: "nodes are nested deeper than 5 levels" }]);
});

test("inner nodes see the outside that comes before, their own graph, item, index and the names of items around", () => {
  const inner: Json = {
    id: "inner",
    kind: "foreach",
    needs: ["b"],
    with: { items: "${ row.list }", as: "cell" },
    nodes: [step("c", "${ [nodes.a, nodes.b, row, cell, item, index, input.x] }")],
  };
  const workflow = compiled([step("a"), each([step("b"), inner], { needs: ["a"] })]);
  const [, outer] = workflow.nodes;
  const [, nested] = outer?.inner?.nodes ?? [];
  expect([...(nested?.inner?.nodes[0]?.ancestors ?? [])].sort()).toEqual(["a", "b"]);
});

test("an inner node that uses nodes as a whole sees what is before it, inside and outside", () => {
  const workflow = compiled([
    step("a"),
    step("x"),
    each([step("b"), step("c", "${ nodes }", { needs: ["b"] })], { needs: ["a"] }),
  ]);
  const node = workflow.nodes.find(({ id }) => id === "each")?.inner?.nodes[1];
  expect([node?.seesAll, [...(node?.ancestors ?? [])].sort()]).toEqual([true, ["a", "b"]]);
});

test("what a node may send and take is known by its path, inside of items too", () => {
  const workflow = compiled(
    [
      { id: "ready", kind: "signal", with: { name: "go", schema: { type: "integer", pattern: "${ x" } } },
      { id: "again", kind: "signal", with: { name: "go" } },
      { id: "call", kind: "http", with: { url: "http://x.test" }, onUnknown: "ask" },
      each([{ id: "ok", kind: "approval", with: { prompt: "?", choices: ["a", "b"] } }]),
      step("plain"),
    ],
    { limits: { calls: 1, onExceeded: "ask" } },
  );
  expect(acceptedBy(workflow, "ready")).toEqual({ name: "go", schema: { type: "integer", pattern: "${ x" } });
  expect(acceptedByName(workflow, "go")).toEqual(["ready", "again"]);
  expect(acceptedBy(workflow, "each[12].ok")?.schema).toMatchObject({ properties: { choice: { enum: ["a", "b"] } } });
  for (const path of ["plain", "each", "each[1]", "each[1].nothing", "nobody", "ok"])
    expect(acceptedBy(workflow, path)).toBeUndefined();
  const ask = acceptedBy(workflow, "call");
  expect(payloadFaults(ask?.schema, { choice: "retry" })).toEqual([]);
  expect(payloadFaults(ask?.schema, { output: [1] })).toEqual([]);
  expect(payloadFaults(ask?.schema, { choice: "x" }).length).toBeGreaterThan(0);
  expect(payloadFaults(acceptedBy(workflow, "$budget")?.schema, { choice: "continue" })).toEqual([]);
  expect(acceptedBy(compiled([step("a")]), "$budget")).toBeUndefined();
  const ready = acceptedBy(compiled([{ id: "ready", kind: "signal", with: { schema: { type: "integer" } } }]), "ready");
  expect(ready?.name).toBe("ready");
  expect(payloadFaults(ready?.schema, "x")).toEqual([{ pointer: "/payload", message: "Must be integer." }]);
});

test("whoever sees a secret value withholds what it says, inside of items too", () => {
  const workflow = compiled(
    [
      step("token", 1, { secret: true }),
      step("user", "${ nodes.token }", { needs: ["token"] }),
      step("other", 1, { needs: ["token"] }),
      each([step("in", "${ item }")], { needs: ["token"], with: { items: "${ [nodes.token] }" } }),
    ],
    { output: "${ nodes.other }" },
  );
  expect(workflow.nodes.map(({ id, secret, withholds }) => [id, secret, withholds])).toEqual([
    ["token", true, true],
    ["user", false, true],
    ["other", false, false],
    ["each", false, true],
  ]);
  expect(workflow.nodes[3]?.inner?.nodes[0]).toMatchObject({ secret: false, withholds: true });
  expect(workflow.outputWithholds).toBe(false);
  const sealed = compiled([each([step("in")], { secret: true })]);
  expect(sealed.nodes[0]?.inner?.nodes[0]?.secret).toBe(true);
});

test("limits and rules of nodes are read", () => {
  const workflow = compiled(
    [
      {
        id: "a",
        kind: "http",
        with: { url: "http://x.test" },
        retry: { on: ["http_status"] },
        onError: { output: 1 },
        onUnknown: "fail",
        cache: { key: "${ input.x }", ttl: "1h" },
        timeout: "5s",
      },
    ],
    { limits: { calls: 1, nodeRuns: 2, wallTime: "3s", tokens: 4, onExceeded: "ask" } },
  );
  expect(workflow.limits).toEqual({ calls: 1, nodeRuns: 2, wallTimeMs: 3000, tokens: 4, onExceeded: "ask" });
  expect(workflow.nodes[0]).toMatchObject({ onUnknown: "fail", waitMs: 5000, timeoutMs: 5000, cache: { ttlMs: 3_600_000 } });
  expect([...(workflow.nodes[0]?.retryOn ?? [])]).toEqual(["http_status"]);
});
