import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { answer, compiled, engineWorld, http, outputOf, transform } from "./testing/engine-world.ts";

function each(input: Json, nodes: readonly Json[], more: Readonly<Record<string, Json>> = {}): Json {
  return { id: "each", kind: "foreach", with: input, nodes, ...more };
}

const items = "${ input.items }";

test("every item runs the graph with item, index and what comes before, and results stand in the order of the items", async () => {
  const nodes = [
    transform("base", 100),
    each(
      { items, as: "row" },
      [transform("sum", "${ nodes.base + item + row + index }"), transform("text", "<${ nodes.sum }>", ["sum"])],
      {
        needs: ["base"],
        output: "${ nodes.text }",
      },
    ),
  ];
  const world = engineWorld(compiled(nodes), { input: { items: [1, 2, 3] } });
  expect(outputOf(await world.attempt())).toEqual({ each: { results: ["<102>", "<105>", "<108>"], errors: [] } });
  expect(world.states()).toMatchObject({
    each: "succeeded",
    "each[0]": "succeeded",
    "each[0].sum": "succeeded",
    "each[2].text": "succeeded",
  });
  expect(world.store.get("each[1]")?.outputJson).toBe('"<105>"');
});

test("without output an item's result is the outputs of the last nodes; no items give no results", async () => {
  const nodes = [each({ items }, [transform("a", "${ item }"), transform("b", "${ nodes.a }", ["a"])])];
  expect(outputOf(await engineWorld(compiled(nodes), { input: { items: [1] } }).attempt())).toEqual({
    each: { results: [{ b: 1 }], errors: [] },
  });
  expect(outputOf(await engineWorld(compiled(nodes), { input: { items: [] } }).attempt())).toEqual({
    each: { results: [], errors: [] },
  });
});

test("only as many items are under way as allowed, and the next begins when one has ended", async () => {
  const open: (() => void)[] = [];
  const world = engineWorld(compiled([each({ items, concurrency: 2 }, [http("call")])]), {
    input: { items: [0, 1, 2] },
    respond: () => new Promise((resolve) => open.push(() => resolve(answer(200)))),
  });
  const { outcome } = world.run();
  await world.until(() => open.length === 2);
  expect(world.store.has("each[2].call")).toBe(false);
  open[1]?.();
  await world.until(() => open.length === 3);
  expect(world.states()).toMatchObject({ "each[1]": "succeeded", "each[0]": "running", "each[2].call": "running" });
  open[0]?.();
  open[2]?.();
  expect((await outcome).kind).toBe("succeeded");
});

const respondToBad = async ({ url }: { readonly url: string }) => (url.includes("bad") ? answer(400) : answer(200));
const accepting: readonly Json[] = [
  { id: "call", kind: "http", with: { url: "http://service.test/${ item }", acceptStatus: ["2xx"] } },
];

test("an item that fails stops the node and aborts the others", async () => {
  const slow: (AbortSignal | undefined)[] = [];
  const world = engineWorld(compiled([each({ items }, accepting)]), {
    input: { items: ["slow", "bad"] },
    respond: (request) => {
      if (request.url.includes("bad")) return respondToBad(request);
      slow.push(request.signal);
      return new Promise(() => undefined);
    },
  });
  expect(await world.attempt()).toMatchObject({
    kind: "failed",
    error: {
      node: "each",
      message: "item 1: the service answered 400",
      details: { code: "http_status", cause: { index: 1, node: "each[1].call" } },
    },
  });
  expect(slow.map((signal) => signal?.aborted)).toEqual([true]);
  expect(world.states()).toMatchObject({ each: "failed", "each[1]": "failed", "each[1].call": "failed" });
});

test("a node that stopped over an item can have another way on, and nothing of the other items comes after it", async () => {
  const open: (() => void)[] = [];
  const nodes = [
    each({ items }, accepting),
    transform("rescue", "${ errors.each.code }", [{ node: "each", on: "failed" }]),
    http("wait"),
  ];
  const world = engineWorld(compiled(nodes), {
    input: { items: ["slow", "bad"] },
    respond: (request) =>
      request.url.includes("bad") ? respondToBad(request) : new Promise((resolve) => open.push(() => resolve(answer(200)))),
  });
  const { outcome } = world.run();
  await world.until(() => world.store.has("rescue"));
  for (const release of open) release();
  expect(outputOf(await outcome)).toMatchObject({ rescue: "http_status" });
  expect(world.store.get("each[0].call")?.state).toBe("running");
});

test("continue gives null and lists the error, collect runs all and then fails", async () => {
  const input = { items: ["good", "bad", "good"] };
  const going = engineWorld(
    compiled([each({ items, onItemError: "continue" }, accepting, { output: "${ nodes.call.status }" })]),
    {
      input,
      respond: respondToBad,
    },
  );
  expect(outputOf(await going.attempt())).toEqual({
    each: {
      results: [200, null, 200],
      errors: [{ index: 1, error: expect.objectContaining({ code: "http_status", node: "each[1].call", retryable: false }) }],
    },
  });
  const collecting = engineWorld(compiled([each({ items, onItemError: "collect" }, accepting)]), {
    input,
    respond: respondToBad,
  });
  expect(await collecting.attempt()).toMatchObject({
    kind: "failed",
    error: {
      message: "1 of 3 items failed; item 1: the service answered 400",
      details: { code: "items_failed", cause: { failed: 1, errors: [{ index: 1, code: "http_status" }] } },
    },
  });
  expect(collecting.requests).toHaveLength(3);
});

test("what else an item does is aborted when it fails, and the other items go on", async () => {
  const slow: (AbortSignal | undefined)[] = [];
  const inner = [
    http("slow"),
    transform("bad", "${ item.nothing }", ["first"]),
    http("first", { with: { url: "http://service.test/first" } }),
  ];
  const world = engineWorld(compiled([each({ items, onItemError: "continue" }, inner)]), {
    input: { items: [1, 2] },
    respond: (request) => {
      if (request.url.endsWith("first")) return Promise.resolve(answer(200));
      slow.push(request.signal);
      return new Promise(() => undefined);
    },
  });
  expect(outputOf(await world.attempt())).toMatchObject({ each: { results: [null, null] } });
  expect(slow.map((signal) => signal?.aborted)).toEqual([true, true]);
});

test("an item of which the output cannot be evaluated fails like one of which a node does", async () => {
  const world = engineWorld(compiled([each({ items }, [transform("a", 1)], { output: "${ item.x }" })]), {
    input: { items: [1] },
  });
  expect(await world.attempt()).toMatchObject({ kind: "failed", error: { details: { code: "expression_error" } } });
});

test("what is no list, or too long a one, fails the node", async () => {
  const workflow = compiled([each({ items }, [transform("a", 1)])]);
  expect(await engineWorld(workflow, { input: { items: { a: 1 } } }).attempt()).toMatchObject({
    kind: "failed",
    error: { message: "items must be a list, but it is object", details: { code: "invalid_items" } },
  });
  expect(await engineWorld(workflow, { input: { items: new Array(100_001).fill(0) } }).attempt()).toMatchObject({
    kind: "failed",
    error: { message: "there are 100001 items; at most 100000 are allowed" },
  });
});

test.each([false, true])(
  "items that have ended are not looked at again, and one in the middle goes on where it was (paged: %s)",
  async (pages) => {
    const open: (() => void)[] = [];
    const inner = [
      { id: "first", kind: "http", with: { url: "http://service.test/first/${ item }" } },
      { id: "second", kind: "http", needs: ["first"], with: { url: "http://service.test/second/${ item }" } },
    ];
    const world = engineWorld(
      compiled([each({ items, concurrency: 2 }, inner, { output: "${ nodes.second.status + index }" })]),
      {
        input: { items: ["a", "b", "c", "d"] },
        pages,
        respond: ({ url }) =>
          url.includes("second/b")
            ? new Promise((resolve) => open.push(() => resolve(answer(200))))
            : Promise.resolve(answer(200)),
      },
    );
    const cut = world.run();
    await world.until(() => world.store.get("each[2]")?.state === "succeeded");
    cut.stop();
    await cut.outcome;
    const before = world.requests.length;
    const second = world.run();
    await world.until(() => open.length === 2);
    for (const release of open) release();
    expect(outputOf(await second.outcome)).toEqual({ each: { results: [200, 201, 202, 203], errors: [] } });
    const again = world.requests.slice(before).map(({ url }) => url.replace("http://service.test/", ""));
    expect(again).toContain("second/b");
    expect(again.filter((url) => url.endsWith("/a") || url.endsWith("/c") || url === "first/b")).toEqual([]);
    expect(world.again).toEqual([]);
    if (pages) expect(world.read.filter((prefix) => /^each\[[0-9]+\]\.$/.test(prefix))).not.toContain("each[0].");
  },
);

test.each([false, true])("nested items work, wait, and go on in another attempt (paged: %s)", async (pages) => {
  const nodes = [
    each(
      { items, as: "row" },
      [
        {
          id: "inner",
          kind: "foreach",
          with: { items: "${ row.list }" },
          nodes: [
            { id: "ask", kind: "signal", when: "${ item == 3 }" },
            { id: "join", kind: "transform", needs: [], with: "${ row.name }-${ item }" },
            { id: "end", kind: "transform", needs: ["join", "ask"], with: "${ has(nodes.ask) ? nodes.ask : nodes.join }" },
          ],
          output: "${ nodes.end }",
        },
      ],
      { output: "${ nodes.inner.results }" },
    ),
  ];
  const world = engineWorld(compiled(nodes), {
    input: {
      items: [
        { name: "a", list: [1, 2] },
        { name: "b", list: [3, 4] },
      ],
    },
    pages,
  });
  expect(await world.attempt()).toMatchObject({
    kind: "wait",
    waitCount: 1,
    waits: [{ node: "each[1].inner[0].ask", name: "ask" }],
  });
  expect(await world.attempt()).toMatchObject({ kind: "wait", waitCount: 1 });
  world.arrive("each[1].inner[0].ask", "yes");
  expect(outputOf(await world.attempt())).toEqual({
    each: {
      results: [
        ["a-1", "a-2"],
        ["yes", "b-4"],
      ],
      errors: [],
    },
  });
  expect(world.again).toEqual([]);
});

test("the task waits when every item under way does, and what arrives for a later item is kept", async () => {
  const world = engineWorld(
    compiled([each({ items, concurrency: 2 }, [{ id: "ask", kind: "signal" }], { output: "${ nodes.ask }" })]),
    {
      input: { items: [1, 2, 3] },
      pages: true,
    },
  );
  world.arrive("each[2].ask", "third");
  expect(await world.attempt()).toMatchObject({
    kind: "wait",
    waitCount: 2,
    waits: [{ node: "each[0].ask" }, { node: "each[1].ask" }],
    seen: 1,
  });
  expect(world.inbox()).toHaveLength(1);
  world.arrive("each[0].ask", "first");
  // The third item begins in the place of the first, and has its answer already.
  expect(await world.attempt()).toMatchObject({ waitCount: 1, waits: [{ node: "each[1].ask" }] });
  expect(world.inbox()).toEqual([]);
  world.arrive("each[1].ask", "second");
  expect(outputOf(await world.attempt())).toEqual({ each: { results: ["first", "second", "third"], errors: [] } });
});

test("items that wait are forgotten when another one stops the node", async () => {
  const inner = [
    { id: "ask", kind: "signal", when: "${ item == 1 }" },
    { id: "bad", kind: "transform", when: "${ item == 2 }", with: "${ item.nothing }" },
  ];
  const nodes = [
    each({ items }, inner, { onError: "continue" }),
    transform("after", "${ nodes.each == null }", ["each"]),
    { id: "other", kind: "signal" },
  ];
  const world = engineWorld(compiled(nodes), { input: { items: [1, 2] } });
  expect(await world.attempt()).toMatchObject({ kind: "wait", waitCount: 1, waits: [{ node: "other" }] });
  world.arrive("each[0].ask", "late");
  world.arrive("other", 1);
  expect(outputOf(await world.attempt())).toEqual({ after: true, other: 1 });
});

test("ten thousand items leave nothing behind but their results", async () => {
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("gc");
  if (typeof gc !== "function") throw new Error("the heap cannot be measured");
  const count = 10_000;
  const inner = [
    transform("a", { text: "${ item + '-' + string(index) }", pad: "x".repeat(200) }),
    transform("b", "${ size(nodes.a.text) }", ["a"]),
  ];
  let recorded = 0;
  let most = 0;
  const stored = engineWorld(compiled([each({ items }, inner, { output: "${ nodes.b }" })]), {
    input: { items: Array.from({ length: count }, () => "i") },
    hooks: {
      record(runs, { barrier }) {
        recorded += runs.length;
        gc();
        most = Math.max(most, process.memoryUsage().heapUsed);
        return barrier ? Promise.resolve() : undefined;
      },
    },
  });
  gc();
  const before = process.memoryUsage().heapUsed;
  const output = outputOf(await stored.attempt());
  expect((output as { each: { results: Json[] } }).each.results).toHaveLength(count);
  expect(recorded).toBeGreaterThanOrEqual(3 * count);
  // Kept whole, the records alone are more than 10 MiB.
  expect(most - before).toBeLessThan(6 * 1024 * 1024);
});

test("a store that is slow holds back further items, so that what is not stored stays small", async () => {
  let release: () => void = () => undefined;
  let sinceBarrier = 0;
  let most = 0;
  const world = engineWorld(compiled([each({ items, concurrency: 50 }, [transform("a", "${ item }")])]), {
    input: { items: Array.from({ length: 5_000 }, (_, index) => index) },
    hooks: {
      record(runs, { barrier }) {
        sinceBarrier += runs.length;
        most = Math.max(most, sinceBarrier);
        if (!barrier) return undefined;
        return new Promise((resolve) => {
          release = () => {
            sinceBarrier = 0;
            resolve();
          };
          setImmediate(release);
        });
      },
    },
  });
  expect((await world.attempt()).kind).toBe("succeeded");
  expect(most).toBeGreaterThan(400);
  expect(most).toBeLessThan(1_000);
});

test("expressions inside items are as bounded as others", async () => {
  const bomb = "${ item.map(a, item.map(b, item.map(c, item.map(d, item.map(e, item.map(f, a + b)))))) }";
  const list = Array.from({ length: 60 }, (_, index) => index);
  const workflow = compiled([each({ items, onItemError: "continue" }, [transform("a", bomb)])]);
  const world = engineWorld(workflow, { input: { items: [list] } });
  const output = outputOf(await world.attempt());
  expect(output).toMatchObject({ each: { results: [null], errors: [{ index: 0, error: { code: "expression_error" } }] } });
});

test("long expressions of items run in another thread, with the item's names", async () => {
  const inner = [transform("a", "${ size(row.list.filter(x, x % 2 == 0)) + index }")];
  const list = Array.from({ length: 20_000 }, (_, index) => index);
  const world = engineWorld(compiled([each({ items, as: "row" }, inner, { output: "${ nodes.a }" })]), {
    input: { items: [{ list }, { list }] },
  });
  expect(outputOf(await world.attempt())).toEqual({ each: { results: [10_000, 10_001], errors: [] } });
});
