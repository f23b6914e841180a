import type { Json } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileWorkflow } from "../definition/compile-workflow.ts";
import type { TaskOutcome } from "./task-run.ts";
import { answer, engineWorld } from "./testing/engine-world.ts";

interface DrawnNode {
  readonly kind: "transform" | "http" | "wait" | "signal" | "workflow" | "foreach";
  readonly needs: readonly number[];
  readonly onFailure: boolean;
  readonly when: "always" | "never" | "odd";
  readonly fails: boolean;
  readonly onError: "fail" | "continue" | "output";
  readonly onItemError: "stop" | "continue" | "collect";
  readonly items: number;
  readonly concurrency: number;
  readonly inner: readonly DrawnNode[];
}

const { node: drawnNode } = fc.letrec<{ node: DrawnNode }>((tie) => ({
  node: fc.record({
    kind: fc.constantFrom("transform", "transform", "http", "http", "wait", "signal", "workflow", "foreach", "foreach"),
    needs: fc.uniqueArray(fc.nat({ max: 30 }), { maxLength: 3 }),
    onFailure: fc.boolean(),
    when: fc.constantFrom("always", "always", "always", "never", "odd"),
    fails: fc.constantFrom(true, false, false, false),
    onError: fc.constantFrom("fail", "fail", "continue", "output"),
    onItemError: fc.constantFrom("stop", "continue", "collect"),
    items: fc.nat({ max: 4 }),
    concurrency: fc.integer({ min: 1, max: 3 }),
    inner: fc.oneof({ maxDepth: 2, depthSize: "small" }, fc.constant([]), fc.array(tie("node"), { minLength: 1, maxLength: 3 })),
  }),
}));

/** What a node's output counts for in the values behind it. */
function worth(id: string, kind: DrawnNode["kind"]): string {
  const value = kind === "transform" ? `int(nodes.${id}.v)` : kind === "signal" ? `int(nodes.${id})` : "1";
  return `(has(nodes.${id}) ? (nodes.${id} == null || type(nodes.${id}) == string ? 3 : ${value}) : 0)`;
}

function nodesOf(drawn: readonly DrawnNode[], prefix: string, depth: number): readonly Json[] {
  const kinds = drawn.map(({ kind, inner }) => (kind === "foreach" && inner.length === 0 ? "transform" : kind));
  return drawn.map((node, index): Json => {
    const id = `${prefix}${index}`;
    const kind = kinds[index] ?? "transform";
    const before = [...new Set(node.needs.filter(() => index > 0).map((need) => need % index))];
    const needs = before.map((need): Json => {
      const isFailing = drawn[need]?.fails === true && kinds[need] === "http" && drawn[need]?.onError === "fail";
      return { node: `${prefix}${need}`, on: node.onFailure && isFailing ? "failed" : "succeeded" };
    });
    const parts = [`${index}`, ...before.map((need) => worth(`${prefix}${need}`, kinds[need] ?? "transform"))];
    const sum = [...parts, ...(depth > 0 ? ["int(item)", "index"] : [])].join(" + ");
    const when: Json = node.when === "odd" ? `\${ (${sum}) % 2 == 1 }` : node.when === "always";
    const onError: Json = node.onError === "output" ? { output: "instead" } : node.onError;
    const common = { id, kind, needs, when, onError };
    switch (kind) {
      case "http": {
        const url = `http://service.test/${node.fails ? "bad" : "good"}`;
        return { ...common, with: { method: "POST", url, json: { v: `\${ ${sum} }` } } };
      }
      case "wait":
        return { ...common, with: { for: `\${ string(10 + ${index}) + 's' }` } };
      case "signal":
        return { ...common, with: null };
      case "workflow":
        return { ...common, with: { name: "other", input: `\${ ${sum} }` } };
      case "foreach": {
        const items = Array.from({ length: node.items }, (_, item) => item);
        const { concurrency, onItemError } = node;
        return { ...common, with: { items, concurrency, onItemError }, nodes: nodesOf(node.inner, `${id}x`, depth + 1) };
      }
      default:
        return { ...common, with: { v: node.fails ? "${ input.nothing }" : `\${ ${sum} }` } };
    }
  });
}

/** A value that depends on nothing but the node's address, so that it is the same whenever it comes. */
function valueFor(path: string): number {
  return [...path].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 97, 7);
}

/** Lets a task run to its end; the first attempts are stopped, each at its record. */
async function runToEnd(world: ReturnType<typeof engineWorld>, stops: readonly number[]): Promise<TaskOutcome> {
  const left = [...stops];
  for (let attempts = 0; attempts < 500; attempts++) {
    const stop = left.shift();
    const outcome = await world.run(stop).outcome;
    // What a stopped attempt says last was never stored.
    if (stop !== undefined) continue;
    if (outcome.kind !== "wait") return outcome;
    const before = world.inbox().length;
    for (const { path, wait } of world.waiting()) {
      if (world.inbox().some(({ node }) => node === path)) continue;
      if (wait?.kind === "child" && valueFor(path) % 5 === 0) world.arriveError(path, "node_failed", "the child broke");
      else if (outcome.waits.some(({ node }) => node === path)) world.arrive(path, valueFor(path));
    }
    if (world.inbox().length === before) world.turn(10_000);
  }
  throw new Error("the task never ends");
}

/** The output without the words of failures: of several in one item, any may come first. */
function comparable(outcome: TaskOutcome): Json {
  if (outcome.kind !== "succeeded") return outcome.kind;
  return JSON.parse(outcome.outputJson, (key, value: Json) => (key === "error" ? "an error" : value)) as Json;
}

test("any graph with items, waits, arrivals and children, stopped anywhere and resumed, ends as it does undisturbed", async () => {
  const seen = { succeeded: 0, waited: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(drawnNode, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat({ max: 12 }), { maxLength: 6 }),
      fc.boolean(),
      fc.boolean(),
      async (drawn, stops, pages, early) => {
        const result = compileWorkflow({ name: "drawn", nodes: nodesOf(drawn, "n", 0) });
        if (!result.ok) throw new Error(JSON.stringify(result.faults));
        const respond = async ({ url }: { readonly url: string }) => answer(url.endsWith("/bad") ? 500 : 200, url);
        const calm = engineWorld(result.workflow, { respond });
        const undisturbed = await runToEnd(calm, []);
        const world = engineWorld(result.workflow, { respond, pages });
        if (early) for (const { id, kind } of result.workflow.nodes) if (kind.name === "signal") world.arrive(id, valueFor(id));
        const resumed = await runToEnd(world, stops);
        expect(undisturbed.kind).not.toBe("aborted");
        expect(comparable(resumed)).toEqual(comparable(undisturbed));
        expect(world.again).toEqual([]);
        if (undisturbed.kind !== "succeeded") return;
        seen.succeeded++;
        if (calm.records.some(({ state }) => state === "waiting")) seen.waited++;
        // What has ended and is over leaves nothing in the inbox but what came for nodes that never waited.
        const over = world.inbox().filter(({ node }) => world.store.get(node)?.state === "succeeded");
        expect(over).toEqual([]);
      },
    ),
    { numRuns: 1_000 },
  );
  expect(seen.succeeded).toBeGreaterThan(200);
  expect(seen.waited).toBeGreaterThan(50);
}, 120_000);
