import { readFileSync } from "node:fs";
import type { Json } from "@longhaul/core";
import { afterAll, describe, expect, test } from "vitest";
import { compileWorkflow } from "../../definition/compile-workflow.ts";
import { dryRun } from "../../definition/dry-run.ts";
import type { JsonObject } from "../../expression/cel-value.ts";
import { closeEvaluator } from "../../expression/evaluate.ts";
import { kinds } from "../../kinds/registry.ts";
import { importDify } from "./import-dify.ts";
import type { DifyNodeReport, DifyReport } from "./import-report.ts";

afterAll(() => closeEvaluator());

const fixtures = ["summarise-page", "triage-order", "translate-chunks", "early-days", "every-node"] as const;

function fixture(name: (typeof fixtures)[number]): string {
  return readFileSync(new URL(`fixtures/${name}.yml`, import.meta.url), "utf8");
}

function imported(text: string): { readonly definition: JsonObject; readonly report: DifyReport } {
  const found = importDify(text);
  if (!found.ok) throw new Error(JSON.stringify(found.faults));
  return found;
}

function nodesOf(holder: JsonObject): readonly JsonObject[] {
  return holder["nodes"] as readonly JsonObject[];
}

function nodeOf(holder: JsonObject, id: string): JsonObject {
  const found = nodesOf(holder).find((node) => node["id"] === id);
  if (found === undefined) throw new Error(`no node ${id} in ${nodesOf(holder).map((node) => String(node["id"]))}`);
  return found;
}

function reportOf({ nodes }: DifyReport, difyId: string): DifyNodeReport {
  const found = nodes.find((node) => node.difyId === difyId);
  if (found === undefined) throw new Error(difyId);
  return found;
}

async function outcome(definition: JsonObject, input: Json, recorded: Readonly<Record<string, Json>> = {}) {
  const compiled = compileWorkflow(definition);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults));
  return dryRun(compiled.workflow, { input, recorded }, { timeoutMs: 60_000 });
}

describe.each(fixtures)("%s", (name) => {
  const { definition, report } = imported(fixture(name));

  test("compiles", () => {
    const compiled = compileWorkflow(definition);
    const faults = compiled.ok ? [] : compiled.faults;
    // A kind that this build does not have is no fault of the import.
    const missing = nodesOf(definition).filter(({ kind }) => !kinds.has(String(kind)));
    expect(faults.filter(({ pointer }) => !/^\/nodes\/\d+\/kind$/.test(pointer))).toEqual([]);
    expect(faults).toHaveLength(missing.length);
  });

  test("every node of the file is in the report, with a path, or with what became of it", () => {
    const ids = new Set(allPaths(definition, ""));
    for (const node of report.nodes) {
      if (node.node !== "") expect(ids).toContain(node.node);
      expect(
        node.carried.length + node.changed.length + node.lost.length + (node.node === "" ? 0 : 1),
        node.difyId,
      ).toBeGreaterThan(0);
      for (const { what, reason, mend } of [...node.changed, ...node.lost]) {
        expect(what).not.toBe("");
        expect(reason.length).toBeGreaterThan(10);
        expect(mend).toMatch(/^[A-Z].*\.$/s);
      }
    }
    const lost = report.nodes.some((node) => node.lost.some(({ what }) => what !== "the note")) || report.lost.length > 0;
    expect(report.complete).toBe(!lost);
  });

  test("is pure: the same text gives the same, and the definition is plain JSON", () => {
    expect(imported(fixture(name))).toEqual({ ok: true, definition, report });
    expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
  });
});

function allPaths(holder: JsonObject, prefix: string): readonly string[] {
  return nodesOf(holder).flatMap((node) => {
    const path = `${prefix}${String(node["id"])}`;
    return Array.isArray(node["nodes"]) ? [path, ...allPaths(node, `${path}.`)] : [path];
  });
}

test("start, http-request, llm and end: input schema, requests, messages, retries and output", () => {
  const { definition, report } = imported(fixture("summarise-page"));
  expect(definition).toMatchObject({
    name: "summarise-page",
    description: "Fetches a page and sums it up",
    input: {
      required: ["url"],
      properties: { url: { type: "string", maxLength: 256 }, language: { enum: ["English", "Deutsch"] } },
    },
    output: { summary: "${ nodes.llm.text }", status: "${ nodes.fetch_page.status }" },
  });
  expect(nodeOf(definition, "fetch_page")).toMatchObject({
    kind: "http",
    timeout: "35s",
    retry: { attempts: 4, delay: "500ms", factor: 1, jitter: 0 },
    with: {
      method: "GET",
      url: "${ input.url }",
      headers: { accept: "text/html", "user-agent": "page-reader" },
      acceptStatus: ["2xx"],
      parse: "text",
    },
  });
  expect(nodeOf(definition, "fetch_page")).not.toHaveProperty("needs");
  expect(nodeOf(definition, "llm")).toMatchObject({
    needs: ["fetch_page"],
    with: { connection: "openai", model: "gpt-4o-mini", temperature: 0.7, maxTokens: 512 },
  });
  const [system, user] = (nodeOf(definition, "llm")["with"] as { messages: { role: string; content: string }[] }).messages;
  expect(system).toEqual({
    role: "system",
    content: 'Answer in ${ (has(input.language) ? input.language : "") }. Prices stand in $${dollars}.',
  });
  expect(user?.content).toContain("Sum up this page:\n\n${ ");
  expect(reportOf(report, "1750000000003").lost).toMatchObject([{ what: "parameter response_format" }]);
});

describe("branches", () => {
  const { definition } = imported(fixture("triage-order"));

  test.each([
    [{ amount: 1500 }, { letter: "Dear $friend, 1500 is a lot.", way: "true" }],
    [
      { amount: 1500, tags: "rush gift" },
      { letter: "RUSH GIFT", way: "c5b0f2c8-0000-4000-8000-000000000001" },
    ],
    [
      { amount: 1, express: true },
      { letter: "no tags", way: "c5b0f2c8-0000-4000-8000-000000000001" },
    ],
    [{ amount: 1, customer: "Ada" }, { note: "usual: Ada" }],
  ])("for %j the way of Dify is taken, and the ends that are not reached give nothing", async (input, output) => {
    expect(await outcome(definition, input)).toMatchObject({ complete: true, output, errors: [] });
  });

  test("names, also those that are not Latin, become ids", () => {
    expect(definition["name"]).toBe("triage");
    expect(nodesOf(definition).map(({ id }) => id)).toContain("answered_2");
  });
});

test("the first DSL: one list of conditions, a body as text, the aggregator's old name, credentials that go to secrets", async () => {
  const { definition, report } = imported(fixture("early-days"));
  const text = JSON.stringify({ definition, report });
  expect(text).not.toContain("pa55word");
  expect(text).not.toContain("t0ken");
  expect(report.secrets).toEqual(["ASK_API_KEY", "ASK_X_TOKEN"]);
  expect(nodeOf(definition, "ask")["with"]).toMatchObject({
    auth: { basic: { username: "reader", password: "${ secrets.ASK_API_KEY }" } },
    query: { full: "yes", name: "${ input.name }" },
    form: { name: "${ input.name }", kind: "person" },
    acceptStatus: ["1xx", "2xx", "3xx", "4xx", "5xx"],
  });
  const found = (status: number, body: Json) => outcome(definition, { name: "Ada" }, { ask: { status, headers: {}, body } });
  expect((await found(200, "x")).output).toEqual({ said: "Hello Ada" });
  expect((await found(404, 'so "ok" it is')).output).toEqual({ said: "Hello Ada" });
  expect((await found(404, null)).output).toEqual({ said: "Who is Ada?" });
});

describe("one of everything", () => {
  const { definition, report } = imported(fixture("every-node"));

  test("what cannot be carried over fails in its place and says why", () => {
    for (const [difyId, id] of [
      ["py", "python_part"],
      ["search", "knowledge_retrieval"],
      ["nowhere", "agent"],
      ["jin", "loop_index"],
    ] as const) {
      expect(reportOf(report, difyId)).toMatchObject({ node: id, lost: [{ what: "the node" }] });
      const { source } = nodeOf(definition, id)["with"] as { source: string };
      expect(source).toContain("throw new Error");
      expect(source).toContain("not carried over from Dify");
    }
    expect(report.complete).toBe(false);
  });

  test("what never runs in Dify, and what lies in what is lost, is left out with a word", () => {
    expect(reportOf(report, "island")).toMatchObject({ node: "", lost: [{ reason: expect.stringContaining("never runs") }] });
    expect(reportOf(report, "inloop")).toMatchObject({ node: "", lost: [{ reason: expect.stringContaining("Again") }] });
    expect(reportOf(report, "1700000000099").lost).toMatchObject([{ what: "the note" }]);
  });

  test("a fail branch is an edge, default values are onError", () => {
    expect(nodeOf(definition, "excuse")).toMatchObject({
      needs: [{ node: "get_facts", on: "failed" }],
      with: { output: expect.stringContaining("errors.get_facts.message") },
    });
    expect(nodeOf(definition, "shape")["onError"]).toEqual({ output: { facts: [], at: "$${never}" } });
    expect(nodeOf(definition, "post_it")["onError"]).toEqual({ output: { status: 500, body: "none" } });
  });

  test("environment: values are written in, secrets are named, literal keys go to secrets", () => {
    expect(nodeOf(definition, "get_facts")["with"]).toMatchObject({
      url: "https://api.example/v2/facts/${ input.mood }",
      auth: { bearer: "${ secrets.API_TOKEN }" },
      query: { tag: ["a", "b"] },
    });
    expect(nodeOf(definition, "post_it")["with"]).toMatchObject({
      auth: { header: { name: "x-api-key", value: "${ secrets.POST_IT_API_KEY }" } },
    });
    expect(JSON.stringify({ definition, report })).not.toContain("sk-very-secret-literal");
    expect(report.secrets).toEqual(["API_TOKEN", "POST_IT_API_KEY"]);
  });

  test("a JSON body keeps its shape, and its values their types", () => {
    expect(nodeOf(definition, "post_it")["with"]).toMatchObject({
      json: {
        answer: "${ nodes.ask.object }",
        text: "It says: ${ nodes.ask.text }",
        tokens: "${ nodes.ask.usage.totalTokens }",
        cost: "$${x}",
      },
    });
  });

  test("code is a module that calls main, with a clock only where it asks for one", () => {
    const { source, input, now } = nodeOf(definition, "shape")["with"] as { source: string; input: Json; now: string };
    expect(source).toMatch(/price: `\$\$\{limit\}` \};\n\}\n\nexport default \(input\) => main\(input\);\n$/);
    expect(input).toMatchObject({ limit: "${ 5 }" });
    expect(now).toBe("${ task.createTime }");
  });

  test("llm: context, Jinja2 message, schema without expressions in it, and what is lost", () => {
    expect(nodeOf(definition, "ask")["with"]).toMatchObject({
      connection: "anthropic",
      messages: [
        { role: "system", content: expect.stringContaining(".map(") },
        { role: "user", content: "${ nodes.shape.at } ${ input.query } (${ nodes.shape.price })" },
      ],
      schema: { properties: { answer: { description: "No $${escape}" } } },
    });
    expect(reportOf(report, "ask").lost.map(({ what }) => what)).toEqual(["vision (sys.files)", "memory", "parameter top_k"]);
  });

  test("iteration is a foreach with its branches inside", () => {
    const each = nodeOf(definition, "each_fact");
    expect(each).toMatchObject({
      kind: "foreach",
      with: { items: "${ nodes.shape.facts }", concurrency: 1, onItemError: "continue" },
      output: expect.stringContaining("nodes.joined.output"),
    });
    expect(nodeOf(each, "long")["with"]).toEqual({
      selected_case_id: '${ (item.size != null && item.size > 5) ? "long" : "false" }',
    });
    expect(nodeOf(each, "keep_it")).toMatchObject({ needs: ["long"], when: '${ nodes.long.selected_case_id == "false" }' });
    expect(reportOf(report, "cutoff").node).toBe("each_fact.cut_off");
  });

  test("ends that are reached side by side are merged", () => {
    expect(definition["output"]).toEqual({
      titles: "${ has(nodes.end_2) ? nodes.end_2.titles : null }",
      said: "${ has(nodes.end) ? nodes.end.said : null }",
      reasoning: "${ has(nodes.end) ? nodes.end.reasoning : null }",
    });
  });

  test("features and plugins of the app are told", () => {
    expect(report.lost.map(({ what }) => what)).toEqual(["feature file_upload", "feature opening_statement"]);
    expect(report.changed.map(({ what }) => what)).toContain("plugins");
  });
});

test("an iteration whose results may be lists is flattened as in Dify", async () => {
  const { definition } = imported(fixture("translate-chunks"));
  expect(nodeOf(definition, "every_piece_each")).toMatchObject({
    kind: "foreach",
    with: { items: "${ nodes.split.parts }", concurrency: 4, onItemError: "continue" },
  });
  const flatten = {
    ...nodeOf(definition, "every_piece"),
    needs: undefined,
    with: { ...(nodeOf(definition, "every_piece")["with"] as JsonObject) },
  };
  const input = { results: "${ input.results }", dropNulls: "${ input.dropNulls }" };
  const alone = {
    name: "w",
    nodes: [{ id: "flat", kind: "code", with: { ...flatten.with, input } }],
    output: "${ nodes.flat.results }",
  };
  const flat = async (results: Json, dropNulls: boolean) => (await outcome(alone, { results, dropNulls })).output;
  expect(await flat([["a"], null, ["b", "c"]], true)).toEqual(["a", "b", "c"]);
  expect(await flat([["a"], "b"], true)).toEqual([["a"], "b"]);
  expect(await flat([1, null], false)).toEqual([1, null]);
  expect(await flat([], true)).toEqual([]);
});

test("an imported iteration gives what it gave in Dify", async () => {
  const { definition } = imported(fixture("translate-chunks"));
  expect(await outcome(definition, { text: "one two\n\nthree" })).toMatchObject({
    complete: true,
    output: { words: ["0:", "one", "two", "of", "2", "1:", "three", "of", "2"], count: 2 },
  });
});

test.each([
  ["", "/kind"],
  ["just text", "/kind"],
  ["kind: app\nkind: app", ""],
  ["a: [", ""],
  ["kind: app\napp: {mode: advanced-chat}", "/app/mode"],
  ["kind: app\napp: {mode: agent-chat}", "/app/mode"],
  ["kind: app\napp: {mode: workflow}", "/workflow/graph/nodes"],
  ["kind: app\napp: {mode: workflow}\nworkflow: {graph: {nodes: [{id: a, data: {type: code}}]}}", "/workflow/graph/nodes"],
  [`x: ${"[".repeat(5000)}${"]".repeat(5000)}`, ""],
  [`kind: app\nx: ${"y".repeat(256 * 1024)}`, ""],
  [Array.from({ length: 20_000 }, (_, n) => `k${n}: 1`).join("\n"), "/kind"],
  [
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\ne: &e [*d, *d]\nf: &f [*e, *e]\ng: &g [*f, *f]\nh: [*g, *g]",
    "",
  ],
])("what is no importable app is refused with its place and what to do: %.40j", (text, pointer) => {
  const found = importDify(text);
  expect(found).toMatchObject({
    ok: false,
    faults: [{ pointer, message: expect.stringMatching(/\w/), mend: expect.stringMatching(/\.\)?$/) }],
  });
});

test("the same app as JSON is the same", () => {
  const app = (text: string) => imported(text).definition;
  const json = {
    kind: "app",
    version: "0.3.1",
    app: { name: "J", mode: "workflow" },
    workflow: {
      graph: {
        nodes: [
          { id: "1", data: { type: "start", variables: [{ variable: "n", type: "number", required: true }] } },
          { id: "2", data: { type: "end", outputs: [{ variable: "n", value_selector: ["1", "n"] }] } },
        ],
        edges: [{ source: "1", target: "2" }],
      },
    },
  };
  // An end alone gives the workflow nothing to do, and a workflow has a node.
  expect(app(JSON.stringify(json))).toMatchObject({ output: { n: "${ input.n }" }, nodes: [{ kind: "transform" }] });
});
