import type { Json } from "@longhaul/core";
import { afterAll, expect, test } from "vitest";
import { closeEvaluator } from "../expression/evaluate.ts";
import { compileWorkflow } from "./compile-workflow.ts";
import { type DryRunOptions, type DryRunSample, dryRun } from "./dry-run.ts";

afterAll(() => closeEvaluator());

async function dry(definition: object, sample: DryRunSample, options: DryRunOptions = {}) {
  const compiled = compileWorkflow({ name: "w", ...definition });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults));
  return dryRun(compiled.workflow, sample, { timeoutMs: 60_000, now: () => Date.UTC(2026, 0, 2), ...options });
}

const transform = (id: string, value: Json, more: object = {}) => ({ id, kind: "transform", with: value, ...more });
const page = (more: object = {}) => ({ id: "page", kind: "http", with: { url: "https://a.example/${ input.n }" }, ...more });

test("a workflow without effects is evaluated to its output", async () => {
  const found = await dry(
    {
      nodes: [
        transform("a", { n: "${ input.n + 1 }" }),
        transform("b", "${ nodes.a.n * 2 } by ${ task.workflow }", { needs: ["a"] }),
      ],
      output: { b: "${ nodes.b }", at: "${ task.createTime }" },
    },
    { input: { n: 2 } },
  );
  expect(found).toMatchObject({
    complete: true,
    failsAt: "",
    errors: [],
    unknownOutput: [],
    output: { b: "6 by w", at: "2026-01-02T00:00:00.000Z" },
    nodes: [
      { path: "a", kind: "transform", state: "would_run", why: "", with: { n: 3 }, output: { n: 3 }, outputFrom: "computed" },
      { path: "b", with: "6 by w" },
    ],
  });
});

test("a node with effects is not run: its with is evaluated, its output unknown, and what depends on it is said, not guessed", async () => {
  const found = await dry(
    {
      nodes: [
        page(),
        transform("both", { known: "${ input.n }", body: "${ nodes.page.body }" }, { needs: ["page"] }),
        transform("known", "${ nodes.both.known }", { needs: ["both"] }),
        transform("body", "${ nodes.both.body }", { needs: ["both"] }),
        transform("gated", 1, { needs: ["page"], when: "${ nodes.page.status == 200 }" }),
        transform("behind", 1, { needs: ["gated"] }),
        transform("rescue", "${ errors.page.message }", { needs: [{ node: "page", on: "failed" }] }),
      ],
      output: { known: "${ nodes.known }", body: "${ nodes.body }", has: "${ has(nodes.rescue) }" },
    },
    { input: { n: 7 } },
  );
  const why = 'the output of "page" is not known: it touches the outside and nothing is recorded for it';
  const byPath = Object.fromEntries(found.nodes.map((node) => [node.path, node]));
  expect(byPath["page"]).toMatchObject({ state: "would_run", with: { url: "https://a.example/7" }, outputFrom: "unknown" });
  expect(byPath["both"]).toMatchObject({
    state: "would_run",
    with: { known: 7, body: null },
    notEvaluated: [{ pointer: "/nodes/1/with/body", why }],
  });
  expect(byPath["known"]).toMatchObject({ state: "would_run", output: 7, outputFrom: "computed" });
  expect(byPath["body"]).toMatchObject({ with: null, outputFrom: "unknown", notEvaluated: [{ pointer: "/nodes/3/with", why }] });
  expect(byPath["gated"]).toMatchObject({ state: "not_evaluated", why: `whether it runs is not known: ${why}` });
  expect(byPath["gated"]?.notEvaluated).toEqual([{ pointer: "/nodes/4/when", why }]);
  expect(byPath["behind"]?.state).toBe("not_evaluated");
  expect(byPath["rescue"]).toMatchObject({ state: "skipped", why: 'nothing leads to it: "page" is taken as succeeded' });
  expect(found).toMatchObject({
    complete: false,
    output: { known: 7, body: null, has: false },
    unknownOutput: [{ pointer: "/output/body", why }],
  });
});

test("a recorded output is taken for the node's own", async () => {
  const definition = {
    nodes: [page(), transform("ok", "${ nodes.page.body.name }", { needs: ["page"], when: "${ nodes.page.status == 200 }" })],
    output: "${ has(nodes.ok) ? nodes.ok : null }",
  };
  const good = await dry(definition, { input: { n: 1 }, recorded: { page: { status: 200, body: { name: "Ada" } } } });
  expect(good).toMatchObject({ complete: true, output: "Ada", nodes: [{ outputFrom: "recorded" }, { output: "Ada" }] });
  const other = await dry(definition, { input: { n: 1 }, recorded: { page: { status: 404 } } });
  expect(other).toMatchObject({ output: null, nodes: [{}, { state: "skipped", why: "its when is false" }] });
});

test("every expression that fails is told with node, pointer and mend, not only the first", async () => {
  const found = await dry(
    {
      nodes: [
        transform("a", { x: "${ input.nope }", y: ["${ 1 / 0 }", "${ input.n }"] }),
        transform("b", "${ nodes.a }", { needs: ["a"] }),
      ],
    },
    { input: { n: 1 } },
  );
  expect(found.nodes[0]).toMatchObject({
    state: "would_fail",
    with: { x: null, y: [null, 1] },
    errors: [
      {
        pointer: "/nodes/0/with/x",
        node: "a",
        message: expect.stringContaining('no such key: "nope"'),
        mend: expect.stringContaining("has()"),
      },
      { pointer: "/nodes/0/with/y/0", node: "a" },
    ],
  });
  expect(found.nodes[1]).toMatchObject({ state: "not_evaluated", why: 'node "a" would fail, and the task with it' });
  expect(found).toMatchObject({ failsAt: "a", complete: false });
  expect(found).not.toHaveProperty("output");
});

test("a failure that is handled leads on along its edge", async () => {
  const found = await dry(
    {
      nodes: [
        transform("a", "${ input.nope }"),
        transform("rescue", "${ errors.a.code }", { needs: [{ node: "a", on: "failed" }] }),
        transform("next", 1, { needs: ["a"] }),
      ],
    },
    { input: {} },
  );
  expect(found.nodes.map(({ path, state }) => [path, state])).toEqual([
    ["a", "would_fail"],
    ["rescue", "would_run"],
    ["next", "skipped"],
  ]);
  expect(found.output).toEqual({ rescue: "expression_error" });
  expect(found.failsAt).toBe("");
});

test("an evaluated with that its kind cannot take is an error of the node", async () => {
  const found = await dry(
    { nodes: [{ id: "a", kind: "http", with: { url: "${ input.url }", method: "${ input.method }" } }] },
    {
      input: { url: 5, method: "GET" },
    },
  );
  expect(found.nodes[0]).toMatchObject({ state: "would_fail", errors: [{ pointer: "/nodes/0/with/url", node: "a" }] });
});

test("when must be true or false, also in a sample", async () => {
  const found = await dry({ nodes: [transform("a", 1, { when: "${ input }" })] }, { input: null });
  expect(found.nodes[0]).toMatchObject({
    state: "would_fail",
    errors: [{ pointer: "/nodes/0/when", message: expect.stringContaining("null") }],
  });
});

test("code runs for real, with a known input only", async () => {
  const source = "export default ({ n }) => ({ twice: n * 2, text: `${n}` });";
  const code = (n: string) => ({ id: "twice", kind: "code", with: { source, input: { n } } });
  const known = await dry({ nodes: [code("${ input.n }")], output: "${ nodes.twice }" }, { input: { n: 21 } });
  expect(known).toMatchObject({ complete: true, output: { twice: 42, text: "21" } });
  const unknown = await dry(
    { nodes: [page(), { ...code("${ nodes.page.n }"), needs: ["page"] }], output: "${ nodes.twice }" },
    {
      input: { n: 1 },
    },
  );
  expect(unknown.nodes[1]).toMatchObject({ state: "would_run", outputFrom: "unknown", with: { source, input: { n: null } } });
  expect(unknown.unknownOutput[0]?.why).toContain('the output of "page" is not known');
  const broken = await dry(
    { nodes: [{ id: "x", kind: "code", with: { source: "export default () => { throw new Error('no') }" } }] },
    {
      input: null,
    },
  );
  expect(broken.nodes[0]).toMatchObject({ state: "would_fail", why: expect.stringContaining("no") });
});

const each = (nodes: readonly object[], more: object = {}) => ({
  id: "each",
  kind: "foreach",
  with: { items: "${ input.items }", as: "word", onItemError: "continue" },
  nodes,
  output: "${ nodes.say }",
  ...more,
});

test("a foreach goes through its items, each node by its path", async () => {
  const found = await dry(
    {
      nodes: [transform("by", "by"), each([transform("say", "${ index } ${ word } ${ nodes.by } ${ item }")], { needs: ["by"] })],
    },
    {
      input: { items: ["a", "b"] },
    },
  );
  expect(found.nodes.map(({ path, state }) => [path, state])).toEqual([
    ["by", "would_run"],
    ["each", "would_run"],
    ["each[0].say", "would_run"],
    ["each[1].say", "would_run"],
  ]);
  expect(found).toMatchObject({ complete: true, output: { each: { results: ["0 a by a", "1 b by b"], errors: [] } } });
});

test("an item that fails is null with continue, and the failure of the foreach with stop", async () => {
  const inner = [transform("say", "${ item + 1 }")];
  const sample = { input: { items: [1, "x", 3] } };
  const goesOn = await dry({ nodes: [each(inner)] }, sample);
  expect(goesOn).toMatchObject({
    complete: false,
    failsAt: "",
    output: { each: { results: [2, null, 4], errors: [{ index: 1, error: { code: "expression_error", node: "each[1].say" } }] } },
  });
  const stops = await dry({ nodes: [each(inner, { with: { items: "${ input.items }" } })] }, sample);
  expect(stops).toMatchObject({ failsAt: "each" });
  expect(stops.nodes.find(({ path }) => path === "each")).toMatchObject({
    state: "would_fail",
    why: expect.stringContaining("item 1: "),
  });
});

test("inside a foreach, unknown outputs stay with their items, and outputs are recorded by path", async () => {
  const call = { id: "call", kind: "http", with: { url: "https://a.example/${ item }" } };
  const definition = {
    nodes: [each([call, transform("say", "${ nodes.call.body }", { needs: ["call"] })])],
    output: { first: "${ nodes.each.results[0] }", second: "${ nodes.each.results[1] }", third: "${ nodes.each.results[2] }" },
  };
  const found = await dry(definition, {
    input: { items: [1, 2, 3] },
    recorded: { "each[0].call": { body: "one" }, "each[2]": "three" },
  });
  expect(found.output).toEqual({ first: "one", second: null, third: "three" });
  expect(found.unknownOutput).toMatchObject([{ pointer: "/output/second", why: expect.stringContaining('"each[1].call"') }]);
  const wrong = await dry(definition, { input: { items: [] }, recorded: { "each[0].cal": 1, "each[x]": 1, "each[1].call": 1 } });
  expect(wrong.errors.map(({ message }) => message)).toEqual([
    expect.stringContaining("each[0].cal"),
    expect.stringContaining("each[x]"),
  ]);
});

test("of a long list, the first hundred items are gone through, and nothing is said of the others", async () => {
  const found = await dry(
    { nodes: [each([transform("say", "${ item }")])] },
    { input: { items: Array.from({ length: 1000 }, (_, n) => n) } },
  );
  expect(found.nodes).toHaveLength(101);
  expect(found.unknownOutput).toMatchObject([{ why: 'a dry run goes through the first 100 of the 1000 items of "each" only' }]);
});

test("nodes that wait are not known without a recorded output; onError says how a failure goes on", async () => {
  const found = await dry(
    {
      nodes: [
        { id: "ok", kind: "approval", with: { prompt: "Send ${ input.n }?" } },
        transform("sent", "${ nodes.ok.choice }", { needs: ["ok"] }),
        transform("soft", "${ input.nope }", { onError: { output: "instead of ${ errors.soft.code }" } }),
      ],
      output: { choice: "${ nodes.sent }", soft: "${ nodes.soft }" },
    },
    { input: { n: 1 } },
  );
  expect(found.nodes[0]).toMatchObject({ state: "would_run", with: { prompt: "Send 1?" }, outputFrom: "unknown" });
  expect(found).toMatchObject({ output: { choice: null, soft: "instead of expression_error" }, failsAt: "", complete: false });
  expect(found.unknownOutput).toMatchObject([{ pointer: "/output/choice", why: expect.stringContaining("it waits") }]);
});

test("secrets are not read: a placeholder stands for their values", async () => {
  const found = await dry(
    { nodes: [transform("a", { key: "Bearer ${ secrets.KEY }", has: "${ has(secrets.KEY) }" })] },
    { input: null },
  );
  expect(found.nodes[0]).toMatchObject({
    with: { key: "Bearer [secret]", has: true },
    notEvaluated: [],
  });
});

test("a sample that does not fit, and a recorded path that is no node, are refused with place and mend", async () => {
  const definition = { input: { type: "object", required: ["url"] }, nodes: [page()] };
  const found = await dry(definition, { input: {}, recorded: { pgae: 1 } });
  expect(found.nodes).toEqual([]);
  expect(found.errors).toMatchObject([
    { pointer: expect.stringContaining("/input"), mend: expect.any(String) },
    { pointer: "/recorded", mend: 'Did you mean "page"?' },
  ]);
});

test("an output that fails is an error at its place; without an output the leaves are it", async () => {
  const nodes = [transform("a", 1), page()];
  const wrong = await dry({ nodes, output: { x: "${ nodes.a.b }" } }, { input: { n: 1 } });
  expect(wrong.errors).toMatchObject([{ pointer: "/output/x", node: "" }]);
  expect(wrong).not.toHaveProperty("output");
  const leaves = await dry({ nodes }, { input: { n: 1 } });
  expect(leaves).toMatchObject({ output: { a: 1, page: null }, unknownOutput: [{ pointer: "/output/page" }] });
});

test("nothing of the sample becomes more than data", async () => {
  const input: Json = JSON.parse('{ "__proto__": { "polluted": true }, "n": "${ 1 + 1 }" }');
  const found = await dry({ nodes: [transform("a", { all: "${ input }", n: "${ input.n }" })] }, { input });
  expect(found.output).toEqual({ a: { all: input, n: "${ 1 + 1 }" } });
  expect(Object.hasOwn({}, "polluted")).toBe(false);
});

test("time is bounded: what is not reached is said to be so", async () => {
  let at = 0;
  const nodes = Array.from({ length: 40 }, (_, n) => transform(`n${n}`, "${ input + 1 }"));
  const found = await dry({ nodes }, { input: 1 }, { timeoutMs: 100, clock: () => (at += 3) });
  expect(found.nodes).toHaveLength(40);
  expect(found.nodes[0]?.state).toBe("would_run");
  expect(found.nodes[39]).toMatchObject({ state: "not_evaluated", why: "the time of the dry run is up" });
  expect(found).toMatchObject({ complete: false, unknownOutput: [{ why: "the time of the dry run is up" }] });
});

test("a heavy expression holds up nobody, and what all of them make is bounded", async () => {
  const heavy = "${ input.map(a, input.map(b, input.map(c, a + b + c))).size() }";
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  const slow = await dry(
    { nodes: Array.from({ length: 6 }, (_, n) => transform(`n${n}`, heavy)) },
    { input: Array.from({ length: 60 }, (_, n) => n) },
  );
  clearInterval(ticking);
  expect(slow.nodes.every(({ state }) => state === "would_run")).toBe(true);
  expect(turns).toBeGreaterThan(0);
  const text = "x".repeat(1_000_000);
  const large = await dry(
    { nodes: Array.from({ length: 60 }, (_, n) => transform(`n${n}`, { text: "${ input }" })) },
    { input: text },
  );
  expect(large.nodes[0]).toMatchObject({ state: "would_run" });
  expect(large.nodes[0]).not.toHaveProperty("with");
  expect(large.nodes.at(-1)?.notEvaluated).toMatchObject([{ why: "the values of this dry run are too large" }]);
});
