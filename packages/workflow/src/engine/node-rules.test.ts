import type { Json } from "@longhaul/core";
import { OutboundError } from "@longhaul/core";
import { expect, test } from "vitest";
import { answer, compiled, engineWorld, http, outputOf, transform } from "./testing/engine-world.ts";

test("onError continue makes a failure a success with null, and says under errors what went wrong, in later attempts too", async () => {
  const nodes = [
    http("call", { onError: "continue" }),
    { id: "go", kind: "signal", needs: ["call"] },
    transform("after", "${ nodes.call == null ? errors.call.code : 'fine' }", ["go"]),
  ];
  const world = engineWorld(compiled(nodes), { respond: async () => answer(503) });
  expect(await world.attempt()).toMatchObject({ kind: "wait" });
  expect(world.store.get("call")).toMatchObject({ state: "succeeded", outputJson: "null", error: { code: "http_status" } });
  world.arrive("go", 1);
  expect(outputOf(await world.attempt())).toEqual({ after: "http_status" });
});

test("onError with an output gives that, evaluated; retries come first", async () => {
  const rule = {
    onError: { output: { status: 0, why: "${ errors.call.code }", n: "${ input.n }" } },
    retry: { attempts: 2, delay: "0s" },
  };
  const world = engineWorld(compiled([http("call", rule)]), { input: { n: 7 }, respond: async () => answer(503) });
  const { outcome } = world.run();
  await world.until(() => world.requests.length === 1 && world.store.get("call")?.error !== undefined);
  world.turn(0);
  expect(outputOf(await outcome)).toEqual({ call: { status: 0, why: "http_status", n: 7 } });
  expect(world.requests).toHaveLength(2);
});

test("an onError that cannot be evaluated leaves the node failed", async () => {
  const world = engineWorld(compiled([transform("a", "${ input.x }", [], { onError: { output: "${ input.y }" } })]));
  expect(await world.attempt()).toMatchObject({ kind: "failed", error: { node: "a", details: { code: "expression_error" } } });
});

test("retry.on tries the listed codes again and no others, whatever the kind says", async () => {
  const only = (code: string) =>
    http("call", { with: { url: "http://service.test/", acceptStatus: [200] }, retry: { attempts: 2, delay: "0s", on: [code] } });
  const matching = engineWorld(compiled([only("http_status")]), { respond: async () => answer(404) });
  const { outcome } = matching.run();
  await matching.until(() => matching.store.get("call")?.error !== undefined);
  matching.turn(0);
  expect((await outcome).kind).toBe("failed");
  expect(matching.requests).toHaveLength(2);
  const other = engineWorld(compiled([only("http_network")]), { respond: async () => answer(503) });
  expect((await other.attempt()).kind).toBe("failed");
  expect(other.requests).toHaveLength(1);
});

const lost = () => Promise.reject(new OutboundError("network", "the connection broke"));

test("onUnknown fail gives up a call of which the answer was not seen, and one that a crash cut short", async () => {
  const nodes = [
    http("call", { onUnknown: "fail", retry: { attempts: 3 }, with: { url: "http://service.test/", method: "POST" } }),
  ];
  const broken = engineWorld(compiled(nodes), { respond: lost });
  expect(await broken.attempt()).toMatchObject({
    kind: "failed",
    error: { details: { code: "outcome_unknown", cause: { code: "http_network" } } },
  });
  expect(broken.requests).toHaveLength(1);
  const cut = engineWorld(compiled(nodes), { respond: () => new Promise(() => undefined) });
  const { outcome, stop } = cut.run();
  await cut.until(() => cut.requests.length === 1);
  stop();
  await outcome;
  expect(await cut.attempt()).toMatchObject({ kind: "failed", error: { details: { code: "outcome_unknown" } } });
  expect(cut.requests).toHaveLength(1);
});

test("onUnknown lets a failure be tried again of which the answer was seen", async () => {
  let status = 503;
  const world = engineWorld(compiled([http("call", { onUnknown: "fail", retry: { attempts: 2, delay: "0s" } })]), {
    respond: async () => {
      const now = status;
      status = 200;
      return answer(now);
    },
  });
  const { outcome } = world.run();
  await world.until(() => world.store.get("call")?.error !== undefined);
  world.turn(0);
  expect((await outcome).kind).toBe("succeeded");
});

test.each([
  ["retry", { choice: "retry" }, { kind: "succeeded" }, 2],
  [
    "fail",
    { choice: "fail" },
    { kind: "failed", error: { details: { code: "outcome_unknown", cause: { code: "http_network" } } } },
    1,
  ],
  ["an output", { output: { status: 299 } }, { kind: "succeeded", outputJson: '{"call":{"status":299}}' }, 1],
])("onUnknown ask waits for somebody to say what became of the call: %s", async (_name, said, outcome, calls) => {
  let respond: () => Promise<ReturnType<typeof answer>> = lost;
  const nodes = [http("call", { onUnknown: "ask", with: { url: "http://service.test/", method: "POST" } })];
  const world = engineWorld(compiled(nodes), { respond: () => respond() });
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ kind: "approval", node: "call" }] });
  expect(world.store.get("call")?.wait?.details).toMatchObject({ choices: ["retry", "fail", "output"], code: "http_network" });
  world.arrive("call", "what?");
  expect(await world.attempt()).toMatchObject({ kind: "wait" });
  respond = async () => answer(200);
  world.arrive("call", said as Json);
  expect(await world.attempt()).toMatchObject(outcome);
  expect(world.requests).toHaveLength(calls);
  expect(new Set(world.requests.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("a cached result is used again for the same key and the same node, until then the node runs", async () => {
  const nodes = (more: Json = {}) => [http("call", { cache: { key: "${ input.id }", ttl: "1h" }, ...(more as object) })];
  const first = engineWorld(compiled(nodes()), { input: { id: 1 } });
  expect((await first.attempt()).kind).toBe("succeeded");
  expect([...first.cache.values()]).toMatchObject([{ ttlMs: 3_600_000, value: { status: 200 } }]);
  const hooks = { cacheGet: async (key: string) => first.cache.get(key)?.value };
  const again = engineWorld(compiled(nodes()), { input: { id: 1 }, hooks });
  expect(outputOf(await again.attempt())).toMatchObject({ call: { status: 200 } });
  expect(again.requests).toEqual([]);
  expect(again.store.get("call")).toMatchObject({ state: "succeeded", tries: 0 });
  for (const [input, more] of [
    [{ id: 2 }, {}],
    [{ id: 1 }, { with: { url: "http://service.test/other" } }],
  ] as const) {
    const other = engineWorld(compiled(nodes(more)), { input, hooks });
    await other.attempt();
    expect(other.requests).toHaveLength(1);
  }
});

test("a cache that is away costs the work, not the task, and failures are not kept", async () => {
  const away = () => Promise.reject(new Error("the cache is away"));
  const nodes = [http("call", { cache: { key: 1, ttl: "1h" }, onError: "continue" })];
  const world = engineWorld(compiled(nodes), { hooks: { cacheGet: away, cachePut: away } });
  expect((await world.attempt()).kind).toBe("succeeded");
  const failing = engineWorld(compiled(nodes), { respond: async () => answer(503) });
  expect((await failing.attempt()).kind).toBe("succeeded");
  expect(failing.cache.size).toBe(0);
});

test("what is secret is marked, and is in no failure, log, progress or recorded input of whoever sees it", async () => {
  const nodes = [
    http("token", { secret: true, with: { url: "http://service.test/token" } }),
    http("use", { needs: ["token"], with: { url: "http://service.test/use?k=${ nodes.token.body }" } }),
    transform("wrong", "${ int(nodes.token.body) }", ["token"], { onError: "continue" }),
    transform("item", { v: "${ nodes.token.body }" }, ["token"], { secret: true }),
    {
      id: "each",
      kind: "foreach",
      needs: ["item"],
      with: { items: "${ [nodes.item.v] }", onItemError: "continue" },
      nodes: [transform("bad", "${ int(item) }")],
    },
  ];
  const seen: unknown[] = [];
  const world = engineWorld(compiled(nodes, { output: "${ int(nodes.token.body) }" }), {
    respond: async () => answer(200, "s3cret"),
    hooks: { unexpected: (error) => void seen.push(error) },
  });
  const outcome = await world.attempt();
  expect(outcome).toMatchObject({ kind: "failed", error: { code: "expression_error" } });
  expect(JSON.stringify(outcome)).not.toContain("s3cret");
  expect(world.store.get("token")).toMatchObject({ secret: true, outputJson: expect.stringContaining("s3cret") });
  expect(world.store.get("item")?.secret).toBe(true);
  expect(world.store.get("use")?.inputJson).toBe('"[redacted]"');
  expect(world.store.get("wrong")?.error).toMatchObject({ code: "expression_error", message: expect.stringMatching(/withheld/) });
  for (const record of world.records.filter(({ secret, path }) => secret !== true && path !== "use"))
    expect(JSON.stringify(record)).not.toContain("s3cret");
  expect(JSON.stringify([world.progress, seen])).not.toContain("s3cret");
});

test("a secret node that fails says its code and nothing else, and keeps no result", async () => {
  const world = engineWorld(compiled([http("token", { secret: true, retry: { attempts: 2, delay: "1h", max: "1h" } })]), {
    respond: async () => answer(503, "s3cret"),
  });
  expect((await world.attempt()).kind).toBe("backoff");
  world.turn(3_600_000);
  const outcome = await world.attempt();
  expect(outcome).toMatchObject({ kind: "failed", error: { details: { code: "http_status" } } });
  expect(JSON.stringify([outcome, world.records])).not.toContain("s3cret");
});

test("a secret approval waits without showing what it asks, and takes its answer all the same", async () => {
  const ask = { id: "ok", kind: "approval", secret: true, with: { prompt: "Is it s3cret?", choices: ["yes"] } };
  const world = engineWorld(compiled([ask]));
  const outcome = await world.attempt();
  expect(JSON.stringify([outcome, world.records])).not.toContain("s3cret");
  world.arrive("ok", { choice: "yes" });
  expect(outputOf(await world.attempt())).toMatchObject({ ok: { choice: "yes" } });
});

test("a task that reaches a ceiling fails before its next node, and what was spent is added up over attempts", async () => {
  const nodes = [
    http("a"),
    { id: "go", kind: "signal", needs: ["a"] },
    http("b", { needs: ["go"] }),
    http("c", { needs: ["b"] }),
  ];
  const world = engineWorld(compiled(nodes, { limits: { calls: 2 } }));
  expect((await world.attempt()).kind).toBe("wait");
  expect(world.spent()).toMatchObject({ calls: 1, nodeRuns: 1 });
  world.arrive("go", 1);
  expect(await world.attempt()).toEqual({
    kind: "failed",
    error: { code: "budget_exceeded", message: "the task has made 2 calls of 2", retryable: false },
  });
  expect(world.requests).toHaveLength(2);
  expect(world.spent()).toEqual({ tokens: 0, calls: 2, nodeRuns: 3, runMs: 0 });
});

test("wall time counts what runs and not what waits; node runs count each item", async () => {
  const slow = engineWorld(compiled([http("a"), http("b", { needs: ["a"] })], { limits: { wallTime: "1m" } }), {
    respond: async () => {
      slow.turn(60_000);
      return answer(200);
    },
    hooks: { sleep: () => new Promise(() => undefined) },
  });
  expect(await slow.attempt()).toMatchObject({
    kind: "failed",
    error: { code: "budget_exceeded", message: expect.stringMatching(/60000 ms of 60000 ms/) },
  });
  const waiting = engineWorld(
    compiled([{ id: "a", kind: "wait", with: { for: "1d" } }, transform("b", 1, ["a"])], { limits: { wallTime: "1m" } }),
  );
  await waiting.attempt();
  waiting.turn(86_400_000);
  expect((await waiting.attempt()).kind).toBe("succeeded");
  const items = { id: "each", kind: "foreach", with: { items: [1, 2, 3, 4] }, nodes: [transform("a", 1)] };
  expect(await engineWorld(compiled([items], { limits: { nodeRuns: 3 } })).attempt()).toMatchObject({
    error: { code: "budget_exceeded" },
  });
  expect((await engineWorld(compiled([items], { limits: { nodeRuns: 5 } })).attempt()).kind).toBe("succeeded");
});

test("a ceiling that asks lets the task wait until somebody lets it go on with as much again", async () => {
  const nodes = [1, 2, 3, 4, 5].map((n) => http(`n${n}`, n === 1 ? {} : { needs: [`n${n - 1}`] }));
  const world = engineWorld(compiled(nodes, { limits: { calls: 2, onExceeded: "ask" } }));
  expect(await world.attempt()).toMatchObject({
    kind: "wait",
    waits: [
      { kind: "budget", node: "$budget", reason: "the task has made 2 calls of 2. Say whether it may go on with as much again." },
    ],
  });
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ node: "$budget" }] });
  expect(world.records.filter(({ path }) => path === "$budget")).toHaveLength(1);
  world.arrive("$budget", { choice: "continue" }, "ann");
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ reason: expect.stringMatching(/4 calls of 4/) }] });
  expect(world.requests).toHaveLength(4);
  world.arrive("$budget", { choice: "continue" }, "ann");
  expect((await world.attempt()).kind).toBe("succeeded");
  expect(world.store.get("$budget")).toMatchObject({
    state: "succeeded",
    outputJson: expect.stringMatching(/"by":"ann".*"grants":2/),
  });

  const refused = engineWorld(compiled(nodes, { limits: { calls: 2, onExceeded: "ask" } }));
  await refused.attempt();
  refused.arrive("$budget", { choice: "fail" });
  expect(await refused.attempt()).toMatchObject({ kind: "failed", error: { code: "budget_exceeded" } });
});

test("a task without calls and ceilings says nothing of what it spent", async () => {
  const world = engineWorld(compiled([transform("a", 1)]));
  await world.attempt();
  expect(world.spent()).toBeUndefined();
});

test("a run of a node that the definition no longer has is passed over", async () => {
  const world = engineWorld(compiled([transform("a", 1)]));
  world.store.set("gone", { path: "gone", kind: "http", state: "failed", startTimeMs: 0, tries: 1 });
  world.store.set("each[3].gone", { path: "each[3].gone", kind: "http", state: "waiting", startTimeMs: 0, tries: 1 });
  expect(outputOf(await world.attempt())).toEqual({ a: 1 });
});
