import { type Json, OutboundError, type OutboundRequest, type OutboundResponse } from "@longhaul/core";
import { expect, test } from "vitest";
import { compileWorkflow } from "../definition/compile-workflow.ts";
import type { CompiledWorkflow } from "../definition/compiled-workflow.ts";
import { runTask } from "./run-task.ts";
import type { NodeRecord, StoredRun, TaskHooks, TaskOutcome } from "./task-run.ts";

type Answer = (request: OutboundRequest) => Promise<OutboundResponse>;

function compiled(nodes: readonly Json[], more: Record<string, Json> = {}): CompiledWorkflow {
  const result = compileWorkflow({ name: "test", nodes, ...more });
  if (!result.ok) throw new Error(JSON.stringify(result.faults, null, 2));
  return result.workflow;
}

function answer(status: number, body: Json = null, headers: Record<string, string> = {}): OutboundResponse {
  return { status, headers: { "content-type": "application/json", ...headers }, body: Buffer.from(JSON.stringify(body)) };
}

interface Sleeper {
  readonly ms: number;
  wake(): void;
}

/** Hooks that keep what they are given, with a clock that only moves when told. */
function harness(respond: Answer = async () => answer(200, { ok: true }), more: Partial<TaskHooks> = {}) {
  const records: NodeRecord[] = [];
  const calls: { readonly runs: readonly NodeRecord[]; readonly barrier: boolean }[] = [];
  const requests: OutboundRequest[] = [];
  const sleepers: Sleeper[] = [];
  const clock = { ms: 1_000_000 };
  const controller = new AbortController();
  const waiters: (() => void)[] = [];
  const hooks: TaskHooks = {
    record(runs, { barrier }) {
      records.push(...runs);
      calls.push({ runs, barrier });
      return barrier ? Promise.resolve() : undefined;
    },
    progress: () => undefined,
    signal: controller.signal,
    outbound: {
      request(request) {
        requests.push(request);
        for (const wake of waiters.splice(0)) wake();
        return respond(request);
      },
      stream: () => Promise.reject(new Error("nobody streams here")),
    },
    now: () => clock.ms,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        sleepers.push({ ms, wake: resolve });
        for (const wake of waiters.splice(0)) wake();
      });
    },
    random: () => 0,
    ...more,
  };
  async function until(reached: () => boolean): Promise<void> {
    while (!reached()) await new Promise<void>((resolve) => waiters.push(resolve));
  }
  return { hooks, records, calls, requests, sleepers, clock, controller, until };
}

function run(
  workflow: CompiledWorkflow,
  hooks: TaskHooks,
  input: Json = {},
  stored: readonly StoredRun[] = [],
  taskId = "task-1",
): Promise<TaskOutcome> {
  return runTask(workflow, { taskId, input, task: { id: taskId, workflow: "test" }, stored }, hooks);
}

function transform(id: string, value: Json, needs: Json = [], more: Record<string, Json> = {}): Json {
  return { id, kind: "transform", needs, with: value, ...more };
}

function http(id: string, more: Record<string, Json> = {}): Json {
  return { id, kind: "http", with: { url: `http://service.test/${id}` }, ...more };
}

function outputOf(outcome: TaskOutcome): Json {
  if (outcome.kind !== "succeeded") throw new Error(JSON.stringify(outcome));
  return JSON.parse(outcome.outputJson);
}

function states(records: readonly NodeRecord[]): Record<string, string> {
  return Object.fromEntries(records.map(({ path, state }) => [path, state]));
}

test("a chain of transforms is handed over as one batch without a barrier", async () => {
  const { hooks, calls } = harness();
  const chain = [
    transform("a", "${ input.n + 1 }"),
    transform("b", "${ nodes.a + 1 }", ["a"]),
    transform("c", "${ nodes.b + 1 }", ["b"]),
  ];
  expect(outputOf(await run(compiled(chain), hooks, { n: 1 }))).toEqual({ c: 4 });
  expect(calls).toHaveLength(1);
  expect(calls[0]?.barrier).toBe(false);
  expect(calls[0]?.runs.map(({ path, state, outputJson, tries }) => [path, state, outputJson, tries])).toEqual([
    ["a", "succeeded", "2", 1],
    ["b", "succeeded", "3", 1],
    ["c", "succeeded", "4", 1],
  ]);
});

test("without output the leaves that succeeded are the output; with one it is evaluated", async () => {
  const nodes = [transform("a", 1), transform("b", 2, [], { when: false })];
  expect(outputOf(await run(compiled(nodes), harness().hooks))).toEqual({ a: 1 });
  const output = { text: "${ has(nodes.b) ? nodes.b : null }", n: "${ nodes.a }" };
  expect(outputOf(await run(compiled(nodes, { output }), harness().hooks))).toEqual({ text: null, n: 1 });
});

test("a node with effects starts only after everything before it and its own start are stored", async () => {
  const order: string[] = [];
  const { hooks } = harness(
    async () => {
      order.push("called");
      return answer(200);
    },
    {
      record(runs, { barrier }) {
        order.push(`record ${runs.map(({ path, state }) => `${path}:${state}`).join(",")} ${barrier}`);
        return barrier ? Promise.resolve().then(() => void order.push("stored")) : undefined;
      },
    },
  );
  await run(compiled([transform("a", 1), http("b", { needs: ["a"] })]), hooks);
  expect(order).toEqual(["record a:succeeded,b:running true", "stored", "called", "record b:succeeded false"]);
});

test("nodes that do not need each other run side by side, at most as many as allowed", async () => {
  const open: (() => void)[] = [];
  const { hooks, requests, until } = harness(() => new Promise((resolve) => open.push(() => resolve(answer(200)))), {
    concurrency: 2,
  });
  const outcome = run(compiled([http("a"), http("b"), http("c")]), hooks);
  await until(() => requests.length === 2);
  expect(requests.map(({ url }) => url)).toEqual(["http://service.test/a", "http://service.test/b"]);
  open.shift()?.();
  await until(() => requests.length === 3);
  for (const each of open.splice(0)) each();
  expect((await outcome).kind).toBe("succeeded");
});

test("when false skips the node, and what needs only it", async () => {
  const { hooks, records } = harness();
  const nodes = [
    transform("off", 1, [], { when: "${ input.go }" }),
    transform("behind", 2, ["off"]),
    transform("on", 3),
    transform("join", "${ has(nodes.off) }", ["off", "on"]),
  ];
  expect(outputOf(await run(compiled(nodes), hooks, { go: false }))).toEqual({ join: false });
  expect(states(records)).toEqual({ off: "skipped", on: "succeeded", behind: "skipped", join: "succeeded" });
});

test("when must be true or false", async () => {
  const outcome = await run(compiled([transform("a", 1, [], { when: "${ input.n }" })]), harness().hooks, { n: 1 });
  expect(outcome).toMatchObject({
    kind: "failed",
    error: { code: "node_failed", node: "a", details: { code: "expression_error" } },
  });
});

test("a failure edge goes on after a failure, and only then", async () => {
  const nodes = [
    http("call"),
    transform("after", "${ nodes.call.status }", ["call"]),
    transform("rescue", "${ errors.call.code }", [{ node: "call", on: "failed" }]),
    transform("end", "${ has(nodes.after) ? nodes.after : nodes.rescue }", ["after", "rescue"]),
  ];
  const failing = harness(async () => answer(503));
  expect(outputOf(await run(compiled(nodes), failing.hooks))).toEqual({ end: "http_status" });
  expect(states(failing.records)).toEqual({ call: "failed", after: "skipped", rescue: "succeeded", end: "succeeded" });
  const working = harness();
  expect(outputOf(await run(compiled(nodes), working.hooks))).toEqual({ end: 200 });
  expect(states(working.records)).toEqual({ call: "succeeded", after: "succeeded", rescue: "skipped", end: "succeeded" });
});

test("a failure without another way on fails the task and aborts what runs beside it", async () => {
  const signals: AbortSignal[] = [];
  const { hooks } = harness((request) => {
    if (request.url.endsWith("/bad")) return Promise.resolve(answer(500, "broken"));
    if (request.signal) signals.push(request.signal);
    return new Promise(() => undefined);
  });
  const outcome = await run(compiled([http("slow"), http("bad")]), hooks);
  expect(outcome).toMatchObject({
    kind: "failed",
    error: {
      code: "node_failed",
      node: "bad",
      message: "the service answered 500",
      retryable: true,
      details: { code: "http_status", cause: { status: 500 } },
    },
  });
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
});

test("an expression that fails fails its node, in output the task", async () => {
  const node = await run(compiled([transform("a", "${ input.x.y }")]), harness().hooks, {});
  expect(node).toMatchObject({
    kind: "failed",
    error: { code: "node_failed", node: "a", retryable: false, details: { code: "expression_error" } },
  });
  const output = await run(compiled([transform("a", 1)], { output: { x: "${ input.nothing }" } }), harness().hooks, {});
  expect(output).toEqual({
    kind: "failed",
    error: {
      code: "expression_error",
      message: 'in ${ input.nothing }: no such key: "nothing"',
      retryable: false,
      details: { pointer: "/output/x" },
    },
  });
});

test("a node's time is per try, and running out of it is retryable", async () => {
  const { hooks, sleepers, records, until, requests } = harness(() => new Promise(() => undefined));
  const outcome = run(compiled([http("a", { timeout: "5s", retry: { attempts: 2, delay: "1s", jitter: 0 } })]), hooks);
  await until(() => sleepers.length === 1);
  expect(sleepers[0]?.ms).toBe(5000);
  sleepers[0]?.wake();
  await until(() => sleepers.length === 2);
  expect(sleepers[1]?.ms).toBe(1000);
  sleepers[1]?.wake();
  await until(() => sleepers.length === 3);
  sleepers[2]?.wake();
  expect(await outcome).toMatchObject({ kind: "failed", error: { code: "node_timeout", node: "a", retryable: true } });
  expect(requests.map(({ signal }) => signal?.aborted)).toEqual([true, true]);
  expect(records.map(({ state, tries, error }) => [state, tries, error?.code])).toEqual([
    ["running", 1, undefined],
    ["running", 1, "node_timeout"],
    ["running", 2, undefined],
    ["failed", 2, "node_timeout"],
  ]);
});

test("retries use the same operation key; another task and another node have others", async () => {
  let left = 2;
  const respond: Answer = async () => (left-- > 0 ? answer(503) : answer(200));
  const { hooks, requests, sleepers, until } = harness(respond);
  const workflow = compiled([http("a", { retry: { attempts: 3, delay: "1s", factor: 3, jitter: 0 } })]);
  const outcome = run(workflow, hooks);
  await until(() => sleepers.some(({ ms }) => ms === 1000));
  sleepers.find(({ ms }) => ms === 1000)?.wake();
  await until(() => sleepers.some(({ ms }) => ms === 3000));
  sleepers.find(({ ms }) => ms === 3000)?.wake();
  expect((await outcome).kind).toBe("succeeded");
  const keys = requests.map(({ headers }) => headers["idempotency-key"]);
  expect(new Set(keys).size).toBe(1);
  const other = harness();
  await run(workflow, other.hooks, {}, [], "task-2");
  await run(compiled([http("b")]), other.hooks);
  expect(new Set([...keys, ...other.requests.map(({ headers }) => headers["idempotency-key"])]).size).toBe(3);
});

test("a failure that will not pass is not tried again", async () => {
  const { hooks, requests } = harness(() => Promise.reject(new OutboundError("forbidden_address", "the address is not allowed")));
  const outcome = await run(compiled([http("a", { retry: { attempts: 5 } })]), hooks);
  expect(outcome).toMatchObject({ kind: "failed", error: { details: { code: "http_forbidden_address" } } });
  expect(requests).toHaveLength(1);
});

test("a delay too long to hold ends the run with backoff once nothing else can go on, and tries go on counting", async () => {
  const respond: Answer = async ({ url }) =>
    url.endsWith("/limited") ? answer(429, null, { "retry-after": "60" }) : answer(200);
  const first = harness(respond);
  const nodes = [http("limited", { retry: { attempts: 2, delay: "1s" } }), http("other"), transform("behind", 1, ["other"])];
  const outcome = await run(compiled(nodes), first.hooks);
  expect(outcome).toEqual({ kind: "backoff", node: "limited", delayMs: 60_000 });
  expect(states(first.records)).toEqual({ limited: "running", other: "succeeded", behind: "succeeded" });
  const last = first.records.filter(({ path }) => path === "limited").at(-1);
  expect(last).toMatchObject({ state: "running", tries: 1, error: { code: "http_status" } });
  const second = harness(respond);
  const again = await run(compiled(nodes), second.hooks, {}, storedFrom(first.records));
  expect(again).toMatchObject({ kind: "failed", error: { code: "node_failed", node: "limited" } });
  expect(second.records.at(-1)).toMatchObject({ state: "failed", tries: 2 });
  expect(second.requests.map(({ url }) => url)).toEqual(["http://service.test/limited"]);
});

test("a try that an earlier attempt began and never ended does not count, and has the same key", async () => {
  const lost = harness(() => new Promise(() => undefined));
  const workflow = compiled([http("a")]);
  const outcome = run(workflow, lost.hooks);
  await lost.until(() => lost.requests.length === 1);
  lost.controller.abort();
  expect(await outcome).toEqual({ kind: "aborted" });
  const next = harness();
  expect((await run(workflow, next.hooks, {}, storedFrom(lost.records))).kind).toBe("succeeded");
  expect(next.records.at(-1)?.tries).toBe(1);
  expect(next.requests[0]?.headers["idempotency-key"]).toBe(lost.requests[0]?.headers["idempotency-key"]);
});

test("a stored failure without another way on fails the task again, without running anything", async () => {
  const { hooks, records } = harness();
  const stored: StoredRun[] = [
    { path: "a", state: "failed", tries: 1, error: { code: "x", message: "was bad", retryable: false, node: "a" } },
  ];
  const outcome = await run(compiled([http("a"), http("b")]), hooks, {}, stored);
  expect(outcome).toMatchObject({ kind: "failed", error: { code: "node_failed", message: "was bad", node: "a" } });
  expect(records).toEqual([]);
});

test("an abort ends the run within the turn and aborts the call", async () => {
  const { hooks, requests, controller, until } = harness(() => new Promise(() => undefined));
  let outcome: TaskOutcome | undefined;
  const ended = run(compiled([http("a")]), hooks).then((value) => {
    outcome = value;
  });
  await until(() => requests.length === 1);
  controller.abort(new Error("cancelled"));
  expect(requests[0]?.signal?.aborted).toBe(true);
  await ended;
  expect(outcome).toEqual({ kind: "aborted" });
  const before = harness();
  before.controller.abort();
  expect(await run(compiled([transform("a", 1)]), before.hooks)).toEqual({ kind: "aborted" });
  expect(before.records).toEqual([]);
});

test("a run whose records cannot be stored ends as aborted and calls nobody", async () => {
  const { hooks, requests } = harness(undefined, { record: () => Promise.reject(new Error("store is away")) });
  expect(await run(compiled([http("a")]), hooks)).toMatchObject({ kind: "aborted", cause: { message: "store is away" } });
  expect(requests).toEqual([]);
  const throwing = harness(undefined, {
    record: () => {
      throw new Error("store is away");
    },
  });
  expect((await run(compiled([transform("a", 1)]), throwing.hooks)).kind).toBe("aborted");
});

test("an error that no kind should throw fails the node and is told to the hook", async () => {
  const seen: unknown[] = [];
  const bug = new TypeError("a bug");
  const { hooks } = harness(() => Promise.reject(bug), { unexpected: (error) => void seen.push(error) });
  const outcome = await run(compiled([http("a")]), hooks);
  expect(outcome).toMatchObject({ kind: "failed", error: { details: { code: "internal_error" } } });
  expect(JSON.stringify(outcome)).not.toContain("a bug");
  expect(seen).toEqual([bug]);
});

test("an expression over all of nodes sees only what comes before its node", async () => {
  const nodes = [transform("a", 1), transform("b", 2), transform("c", "${ nodes.map(id, id) }", ["b"])];
  expect(outputOf(await run(compiled(nodes, { output: "${ nodes.c }" }), harness().hooks))).toEqual(["b"]);
});

test("long expressions run in another thread and the task goes on with their result", async () => {
  const nodes = [
    transform("a", "${ input.list.map(x, x + 1).filter(x, x % 2 == 0) }"),
    transform("b", "${ size(nodes.a) }", ["a"]),
  ];
  const list = Array.from({ length: 10_000 }, (_, index) => index);
  expect(outputOf(await run(compiled(nodes), harness().hooks, { list }))).toEqual({ b: 5000 });
});

test("five hundred nodes in a row run without growing the stack", async () => {
  const nodes = Array.from({ length: 500 }, (_, index) =>
    index === 0 ? transform("n0", 0) : transform(`n${index}`, `\${ nodes.n${index - 1} + 1 }`, [`n${index - 1}`]),
  );
  expect(outputOf(await run(compiled(nodes), harness().hooks))).toEqual({ n499: 499 });
});

function storedFrom(records: readonly NodeRecord[]): readonly StoredRun[] {
  const last = new Map(records.map((record) => [record.path, record]));
  return [...last.values()].map(({ path, state, outputJson, error, tries }) => ({
    path,
    state,
    tries,
    ...(outputJson === undefined ? {} : { output: JSON.parse(outputJson) as Json }),
    ...(error === undefined ? {} : { error }),
  }));
}
