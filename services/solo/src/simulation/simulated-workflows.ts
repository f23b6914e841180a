import type { Json } from "@longhaul/core";

/** A value that somebody outside sends to a node of a running task. */
export interface Ask {
  readonly node: string;
  readonly payload: Json;
  /** By a signed link, as somebody without a key does, and not by the task's id. */
  readonly byLink?: boolean;
  /** Only once the task waits for it; what is sent earlier is kept for the node. */
  readonly whenAsked?: boolean;
}

/** A graph, what comes out of it for `n`, and what the outside does and sees meanwhile. */
export interface SimulatedWorkflow {
  readonly name: string;
  readonly nodes: readonly Json[];
  readonly output: string;
  readonly limits?: { readonly [key: string]: Json };
  out(n: number): number;
  readonly asks?: readonly Ask[];
  /** Paths of nodes whose calls the outside must have seen when the task has succeeded. */
  readonly calls?: readonly string[];
}

/** `path` is the node's address, with expressions where it lies in a foreach. */
const call = (node: string, service: string, n: string, path = node): Json => ({
  id: node,
  kind: "http",
  with: { method: "POST", url: `https://work.test/${service}?task=\${ task.id }&node=${path}&n=\${ ${n} }` },
  timeout: "5s",
});
const retry = { attempts: 60, delay: "100ms", factor: 2, max: "3s" };
const transform = (id: string, n: string, more: { readonly [key: string]: Json } = {}): Json => ({
  id,
  kind: "transform",
  with: { n: `\${ ${n} }` },
  ...more,
});
const withMore = (node: Json, more: { readonly [key: string]: Json }): Json => Object.assign({}, node, more);

/** A task that others start, and of which only one may run at a time. */
const kid: SimulatedWorkflow = {
  name: "kid",
  nodes: [
    withMore(call("work", "double", "input.n"), { retry }),
    { id: "nap", kind: "wait", needs: ["work"], with: { for: "1s" } },
  ],
  output: "nodes.work.body.value",
  limits: { concurrency: 2, keys: ["shared"] },
  out: (n) => 2 * n,
  calls: ["work"],
};

/** Goes through everything that a task can wait for. */
export const tour: SimulatedWorkflow = {
  name: "tour",
  nodes: [
    withMore(call("first", "double", "input.n"), { retry }),
    // Fails at its first call: once with a short pause, once with one for which the executor is given back.
    withMore(call("again", "flaky", "input.n"), { retry }),
    withMore(call("parked", "flaky", "input.n"), { retry: { attempts: 60, delay: "11s", factor: 1, max: "11s" } }),
    withMore(call("refused", "refuse", "input.n"), { onError: { output: { body: { value: 5 } } } }),
    { id: "early", kind: "signal", needs: ["first"] },
    { id: "pause", kind: "wait", needs: ["first"], with: { for: "2s" } },
    { id: "paid", kind: "signal", needs: ["pause"], with: { name: "payment" } },
    { id: "ok", kind: "approval", needs: ["paid"], with: { prompt: "Go on?" } },
    {
      id: "each",
      kind: "foreach",
      needs: ["first"],
      with: { items: [1, 2, 3], concurrency: 2 },
      nodes: [
        withMore(call("call", "double", "nodes.first.body.value + item", "each[${ index }].call"), { retry }),
        { id: "rest", kind: "wait", needs: ["call"], with: { for: "1500ms" } },
        { id: "go", kind: "signal", needs: ["rest"] },
        withMore(call("last", "double", "nodes.call.body.value + nodes.go", "each[${ index }].last"), { needs: ["go"], retry }),
      ],
      output: "${ nodes.last.body.value }",
    },
    { id: "kid", kind: "workflow", needs: ["first"], with: { name: "kid", input: { n: "${ nodes.first.body.value }" } } },
    { id: "stray", kind: "workflow", needs: ["first"], with: { name: "kid", input: { n: 1 }, await: false } },
    transform(
      "sum",
      "nodes.again.body.value + nodes.parked.body.value + nodes.refused.body.value + nodes.early + nodes.paid.n + nodes.each.results[0] + nodes.each.results[1] + nodes.each.results[2] + nodes.kid.n",
      { needs: ["again", "parked", "refused", "early", "ok", "each", "kid", "stray"], when: "${ nodes.ok.choice == 'approve' }" },
    ),
    withMore(call("end", "double", "nodes.sum.n"), { needs: ["sum"], retry }),
  ],
  output: "nodes.end.body.value",
  out: (n) => {
    const each = [1, 2, 3].map((item, index) => 2 * (2 * (2 * n + item) + index)).reduce((a, b) => a + b, 0);
    return 2 * (2 * n + 2 * n + 5 + 40 + 7 + each + 4 * n);
  },
  asks: [
    { node: "early", payload: 40 },
    { node: "paid", payload: { n: 7 }, whenAsked: true },
    { node: "ok", payload: { choice: "approve", by: "ann" }, byLink: true },
    { node: "each[0].go", payload: 0 },
    { node: "each[1].go", payload: 1, whenAsked: true },
    { node: "each[2].go", payload: 2, byLink: true },
  ],
  calls: ["first", "again", "parked", ...[0, 1, 2].flatMap((index) => [`each[${index}].call`, `each[${index}].last`]), "end"],
};

/** Waits for a task that waits for nobody: it ends only when it is cancelled. */
export const endless: readonly SimulatedWorkflow[] = [
  { name: "idle", nodes: [{ id: "never", kind: "signal" }], output: "0", out: () => 0 },
  {
    name: "doomed",
    nodes: [
      { id: "below", kind: "workflow", with: { name: "idle", input: { n: 1 } } },
      { id: "each", kind: "foreach", with: { items: [1, 2] }, nodes: [{ id: "stay", kind: "wait", with: { for: "1h" } }] },
    ],
    output: "0",
    out: () => 0,
  },
];

/** Those that a random history chooses from. */
export const chosenWorkflows: readonly SimulatedWorkflow[] = [
  { name: "echo", nodes: [transform("a", "input.n + 1")], output: "nodes.a.n", out: (n) => n + 1 },
  {
    name: "fan",
    nodes: [
      transform("a", "input.n + 1"),
      withMore(call("left", "double", "nodes.a.n"), { needs: ["a"], retry }),
      withMore(call("right", "double", "input.n"), { needs: ["a"], retry }),
      transform("skipped", "0", { needs: ["left"], when: "${ nodes.left.body.value < 0 }" }),
      transform("join", "nodes.left.body.value + nodes.right.body.value", { needs: ["left", "right"] }),
    ],
    output: "has(nodes.skipped) ? -1 : nodes.join.n",
    out: (n) => 2 * (n + 1) + 2 * n,
    calls: ["left", "right"],
  },
  {
    name: "chain",
    nodes: [
      withMore(call("one", "double", "input.n"), { retry }),
      transform("two", "nodes.one.body.value + 1", { needs: ["one"] }),
      withMore(call("three", "double", "nodes.two.n"), { needs: ["two"], retry }),
    ],
    output: "nodes.three.body.value",
    limits: { concurrency: 1, keys: ["shared"] },
    out: (n) => 2 * (2 * n + 1),
    calls: ["one", "three"],
  },
  {
    name: "patient",
    nodes: [withMore(call("far", "double", "input.n"), { retry: { attempts: 60, delay: "11s", factor: 1, max: "11s" } })],
    output: "nodes.far.body.value",
    limits: { concurrency: 1 },
    out: (n) => 2 * n,
    calls: ["far"],
  },
  {
    name: "detour",
    nodes: [
      call("blocked", "refuse", "input.n"),
      transform("around", "input.n + 7", { needs: [{ node: "blocked", on: "failed" }] }),
    ],
    output: "nodes.around.n",
    out: (n) => n + 7,
  },
  tour,
];

/** How many tasks of a workflow may hold a slot at the same time. */
export function concurrencyOf(workflow: string): number {
  const most = allWorkflows.find(({ name }) => name === workflow)?.limits?.["concurrency"];
  return typeof most === "number" ? most : Number.POSITIVE_INFINITY;
}

/** All that must be put before tasks run. */
export const allWorkflows: readonly SimulatedWorkflow[] = [...chosenWorkflows, kid, ...endless];
