import type { Json } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { diffDefinitions, maxChanges } from "./diff-definitions.ts";

const base: Json = {
  name: "w",
  description: "first",
  input: { type: "object", required: ["a"] },
  limits: { concurrency: 2 },
  nodes: [
    { id: "a", kind: "http", with: { url: "https://a.example", headers: { "x/y": "1" } }, retry: { attempts: 2 } },
    { id: "b", kind: "transform", needs: ["a"], with: [1, 2, 3] },
    { id: "gone", kind: "transform", needs: [{ node: "a", on: "failed" }], with: 1 },
  ],
  output: { x: "${ nodes.b }" },
};

test("the same definition, with nodes, needs and keys in another order, is the same", () => {
  const other: Json = {
    output: { x: "${ nodes.b }" },
    nodes: [
      { kind: "transform", id: "gone", needs: [{ on: "failed", node: "a" }], with: 1 },
      { id: "b", kind: "transform", needs: [{ node: "a", on: "succeeded" }], with: [1, 2, 3] },
      { id: "a", retry: { attempts: 2 }, with: { headers: { "x/y": "1" }, url: "https://a.example" }, kind: "http" },
    ],
    name: "w",
    limits: { concurrency: 2 },
    input: { required: ["a"], type: "object" },
    description: "first",
  };
  expect(diffDefinitions(base, other)).toEqual({
    same: true,
    nodes: [],
    edges: [],
    input: [],
    output: [],
    limits: [],
    about: [],
    omitted: 0,
  });
});

test("nodes, edges, input, output, limits and the rest are told apart, each with place, old and new", () => {
  const next: Json = {
    name: "w",
    description: "second",
    input: { type: "object", required: ["a", "b"] },
    limits: { concurrency: 2, deadline: "1h" },
    nodes: [
      { id: "fresh", kind: "transform", with: null },
      { id: "a", kind: "http", with: { url: "https://b.example", headers: { "x/y": "2" } } },
      { id: "b", kind: "transform", needs: ["fresh", { node: "a", on: "failed" }], with: [1, 9, 2, 3] },
    ],
    output: "${ nodes.b }",
  };
  expect(diffDefinitions(base, next)).toEqual({
    same: false,
    nodes: [
      { node: "fresh", change: "added", kind: "transform", changes: [] },
      {
        node: "a",
        change: "changed",
        kind: "http",
        changes: [
          { pointer: "/with/url", before: "https://a.example", after: "https://b.example", cut: false },
          { pointer: "/with/headers/x~1y", before: "1", after: "2", cut: false },
          { pointer: "/retry", before: { attempts: 2 }, cut: false },
        ],
      },
      { node: "b", change: "changed", kind: "transform", changes: [{ pointer: "/with/1", after: 9, cut: false }] },
      { node: "gone", change: "removed", kind: "transform", changes: [] },
    ],
    edges: [
      { change: "added", from: "fresh", to: "b", on: "succeeded" },
      { change: "added", from: "a", to: "b", on: "failed" },
      { change: "removed", from: "a", to: "b", on: "succeeded" },
      { change: "removed", from: "a", to: "gone", on: "failed" },
    ],
    input: [{ pointer: "/required/1", after: "b", cut: false }],
    output: [{ pointer: "", before: { x: "${ nodes.b }" }, after: "${ nodes.b }", cut: false }],
    limits: [{ pointer: "/deadline", after: "1h", cut: false }],
    about: [{ pointer: "/description", before: "first", after: "second", cut: false }],
    omitted: 0,
  });
});

test("null is a value of its own, told apart from absence", () => {
  const [change] = diffDefinitions({ output: null }, { output: 0 }).output;
  expect(change).toEqual({ pointer: "", before: null, after: 0, cut: false });
  expect(diffDefinitions({}, { output: null }).output).toEqual([{ pointer: "", after: null, cut: false }]);
});

test("nodes inside of others are nodes by their path, and their edges too", () => {
  const each = (inner: readonly Json[]): Json => ({
    nodes: [{ id: "each", kind: "foreach", with: { items: [] }, nodes: inner }],
  });
  const found = diffDefinitions(
    each([{ id: "x", kind: "transform", with: 1 }]),
    each([
      { id: "x", kind: "transform", with: 2 },
      { id: "y", kind: "transform", needs: ["x"], with: 3 },
    ]),
  );
  expect(found.nodes.map(({ node, change }) => [node, change])).toEqual([
    ["each.x", "changed"],
    ["each.y", "added"],
  ]);
  expect(found.edges).toEqual([{ change: "added", from: "each.x", to: "each.y", on: "succeeded" }]);
});

test("the answer is bounded: long values are shown shortened, and what is too much is counted", () => {
  const long = diffDefinitions({ output: "a".repeat(10_000) }, { output: { b: "b".repeat(10_000) } }).output[0];
  expect(long).toMatchObject({ pointer: "", before: "a".repeat(500), after: null, cut: true });
  const many = diffDefinitions(
    { output: {} },
    { output: Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`k${n}`, n])) },
  );
  expect(many.output).toHaveLength(maxChanges);
  expect(many.omitted).toBe(4000);
  const nodes = (count: number): Json => ({
    nodes: Array.from({ length: count }, (_, n) => ({ id: `n${n}`, kind: "transform" })),
  });
  const flood = diffDefinitions(nodes(0), nodes(1500));
  expect(flood.nodes).toHaveLength(maxChanges);
  expect(flood.omitted).toBe(500);
});

test("what is no definition is compared all the same", () => {
  expect(diffDefinitions(null, [1]).same).toBe(true);
  const odd: Json = { nodes: [1, { id: 5 }, { id: "a", needs: [7, { node: 3 }, {}] }, { id: "a" }] };
  expect(diffDefinitions(odd, odd).same).toBe(true);
  expect(diffDefinitions({}, odd).nodes).toMatchObject([{ node: "a", change: "added", kind: "" }]);
});

test("any two definitions: equal ones are the same, and the way back has as many changes", () => {
  const json = fc.jsonValue({ maxDepth: 4 }).map((value): Json => JSON.parse(JSON.stringify(value)));
  fc.assert(
    fc.property(json, json, (a, b) => {
      expect(diffDefinitions({ output: a }, { output: structuredClone(a) }).same).toBe(true);
      const [there, back] = [diffDefinitions({ output: a }, { output: b }), diffDefinitions({ output: b }, { output: a })];
      expect(there.same).toBe(back.same);
      expect(there.output.length).toBe(back.output.length);
      const texts = (values: readonly (Json | undefined)[]) => values.map((value) => JSON.stringify(value) ?? "").sort();
      expect(texts(there.output.map(({ before }) => before))).toEqual(texts(back.output.map(({ after }) => after)));
    }),
    { numRuns: 200 },
  );
});
