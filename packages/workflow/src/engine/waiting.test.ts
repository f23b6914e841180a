import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { compiled, engineWorld, http, outputOf, transform } from "./testing/engine-world.ts";

function node(id: string, kind: string, input: Json, more: Readonly<Record<string, Json>> = {}): Json {
  return { id, kind, with: input, ...more };
}

test("a wait ends the run until its time, says since when and for what, and goes on behind it", async () => {
  const world = engineWorld(compiled([node("pause", "wait", { for: "1h" }), transform("after", 1, ["pause"])]));
  expect(await world.attempt()).toEqual({
    kind: "wait",
    waits: [
      {
        kind: "timer",
        node: "pause",
        sinceMs: 1_000_000,
        untilMs: 4_600_000,
        reason: "It waits until 1970-01-01T01:16:40.000Z.",
      },
    ],
    waitCount: 1,
    seen: 0,
  });
  expect(world.store.get("pause")).toMatchObject({ state: "waiting", sinceMs: 1_000_000, wait: { untilMs: 4_600_000 } });
  world.turn(3_599_999);
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ node: "pause", sinceMs: 1_000_000 }] });
  world.turn(1);
  expect(outputOf(await world.attempt())).toEqual({ after: 1 });
  expect(world.records.filter(({ path }) => path === "pause").map(({ state }) => state)).toEqual(["waiting", "succeeded"]);
});

test("a wait until a time that has passed, or for a time of an expression, needs no help", async () => {
  const world = engineWorld(compiled([node("past", "wait", { until: "1970-01-01T00:00:01Z" })]));
  expect(outputOf(await world.attempt())).toEqual({ past: {} });
  const counted = engineWorld(compiled([node("pause", "wait", { for: "${ duration('90s') }" })]));
  expect(await counted.attempt()).toMatchObject({ waits: [{ untilMs: 1_090_000 }] });
  const wrong = engineWorld(compiled([node("pause", "wait", { until: "${ input.at }" })]), { input: { at: "soon" } });
  expect(await wrong.attempt()).toMatchObject({ kind: "failed", error: { details: { code: "invalid_wait" } } });
});

test("a wait whose time comes while another node works goes on in the same run", async () => {
  let release: () => void = () => undefined;
  const world = engineWorld(compiled([node("pause", "wait", { for: "5s" }), transform("after", 1, ["pause"]), http("slow")]), {
    respond: () => new Promise((resolve) => (release = () => resolve({ status: 200, headers: {}, body: Buffer.from("") }))),
  });
  const { outcome } = world.run();
  await world.until(() => world.requests.length === 1);
  world.turn(5_000);
  await world.until(() => world.store.has("after"));
  release();
  expect((await outcome).kind).toBe("succeeded");
});

test("a wait whose time has come by the end of a call is not said to wait", async () => {
  const world = engineWorld(compiled([node("pause", "wait", { for: "5s" }), http("slow")]), {
    respond: async () => {
      world.clock.ms += 5_000;
      return { status: 200, headers: {}, body: Buffer.from("") };
    },
  });
  expect((await world.attempt()).kind).toBe("succeeded");
});

test("a signal takes the value that is sent to it, before it waits, while others work, or later", async () => {
  const nodes = [http("first"), node("ready", "signal", { name: "go" }, { needs: ["first"] })];
  const early = engineWorld(compiled(nodes));
  early.arrive("ready", { n: 1 });
  expect(outputOf(await early.attempt())).toEqual({ ready: { n: 1 } });
  expect(early.inbox()).toEqual([]);

  const later = engineWorld(compiled(nodes));
  expect(await later.attempt()).toMatchObject({
    kind: "wait",
    waits: [{ kind: "signal", node: "ready", name: "go", reason: 'It waits for the signal "go".' }],
  });
  later.arrive("ready", { n: 2 });
  expect(outputOf(await later.attempt())).toEqual({ ready: { n: 2 } });
  expect(later.requests).toHaveLength(1);

  let release: () => void = () => undefined;
  const during = engineWorld(compiled([node("ready", "signal", null), http("slow")]), {
    respond: () => new Promise((resolve) => (release = () => resolve({ status: 200, headers: {}, body: Buffer.from("") }))),
  });
  const { outcome } = during.run();
  await during.until(() => during.requests.length === 1);
  during.arrive("ready", "here");
  await during.until(() => during.store.get("ready")?.state === "succeeded");
  expect(during.inbox()).toEqual([]);
  release();
  expect(outputOf(await outcome)).toMatchObject({ ready: "here" });
});

test("what arrived leaves the inbox only together with its effect", async () => {
  const world = engineWorld(compiled([node("ready", "signal", null), http("after", { needs: ["ready"] })]));
  world.arrive("ready", 7);
  // Stopped at its first record: the result of the signal was never stored.
  await world.run(0).outcome;
  expect(world.inbox()).toHaveLength(1);
  expect(outputOf(await world.attempt())).toMatchObject({ after: { status: 200 } });
  expect(world.inbox()).toEqual([]);
  expect(world.store.get("ready")).toMatchObject({ state: "succeeded", outputJson: "7" });
});

test("what arrives for a node that has ended, or that there is not, is taken out of the inbox", async () => {
  const world = engineWorld(compiled([transform("done", 1), node("ready", "signal", null)]));
  await world.attempt();
  world.arrive("done", 1);
  world.arrive("nobody", 1);
  expect(await world.attempt()).toMatchObject({ kind: "wait", seen: 2 });
  expect(world.inbox()).toEqual([]);
});

test("a signal that does not come in time fails its node, which can have another way on", async () => {
  const nodes = [
    node("ready", "signal", { timeout: "10m" }),
    transform("late", "${ errors.ready.code }", [{ node: "ready", on: "failed" }]),
  ];
  const world = engineWorld(compiled(nodes));
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ untilMs: 1_600_000 }] });
  world.turn(600_000);
  expect(outputOf(await world.attempt())).toEqual({ late: "node_timeout" });
});

test("an approval says what is asked, takes a choice and says who chose; an unfit answer leaves it open", async () => {
  const ask = { prompt: "Pay ${ input.sum }?", choices: ["yes", "no"], who: ["ann"], timeout: "1d" };
  const world = engineWorld(compiled([node("pay", "approval", ask)]), { input: { sum: 5 } });
  expect(await world.attempt()).toMatchObject({ waits: [{ kind: "approval", node: "pay", untilMs: 87_400_000 }] });
  expect(world.store.get("pay")?.wait?.details).toEqual({ prompt: "Pay 5?", choices: ["yes", "no"], who: ["ann"] });
  world.arrive("pay", { choice: "maybe" });
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ untilMs: 87_400_000 }] });
  expect(world.inbox()).toEqual([]);
  world.arrive("pay", { choice: "yes", comment: "fine" }, "ann");
  expect(outputOf(await world.attempt())).toEqual({ pay: { choice: "yes", by: "ann", comment: "fine" } });
});

test("an approval that nobody answers takes its choice for that, or fails", async () => {
  const chosen = engineWorld(compiled([node("a", "approval", { prompt: "?", timeout: "1m", onTimeout: "reject" })]));
  await chosen.attempt();
  chosen.turn(60_000);
  expect(outputOf(await chosen.attempt())).toEqual({ a: { choice: "reject", by: "", comment: "" } });
  const failing = engineWorld(compiled([node("a", "approval", { prompt: "?", timeout: "1m" })]));
  await failing.attempt();
  failing.turn(60_000);
  expect(await failing.attempt()).toMatchObject({ kind: "failed", error: { code: "node_timeout", node: "a" } });
});

test("a child is started once whatever happens, and its end is the node's", async () => {
  const nodes = [node("child", "workflow", { name: "other", input: { n: "${ input.n }" } })];
  const world = engineWorld(compiled(nodes), { input: { n: 3 } });
  // Stopped behind the start of the child, before that is stored.
  await world.run(1).outcome;
  expect(world.children.size).toBe(1);
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ kind: "child", node: "child" }] });
  expect(world.children.size).toBe(1);
  const [[key, request] = []] = [...world.children];
  expect(request).toMatchObject({ node: "child", workflow: "other", input: { n: 3 }, awaited: true });
  expect(world.store.get("child")).toMatchObject({ childTask: `child-${key}`, wait: { details: { workflow: "other" } } });
  world.arrive("child", { sum: 6 });
  expect(outputOf(await world.attempt())).toEqual({ child: { sum: 6 } });
  expect(world.store.get("child")?.childTask).toBe(`child-${key}`);
});

test("the end of a child that comes before its parent waits is kept for it", async () => {
  const world = engineWorld(compiled([node("child", "workflow", { name: "other" })]));
  world.arrive("child", "early");
  expect(outputOf(await world.attempt())).toEqual({ child: "early" });
});

test("a child that fails fails its node, and one that nobody awaits gives its id at once", async () => {
  const world = engineWorld(compiled([node("child", "workflow", { name: "other" })]));
  await world.attempt();
  world.arriveError("child", "node_failed", "it broke");
  expect(await world.attempt()).toMatchObject({
    kind: "failed",
    error: {
      message: "the task ended with node_failed: it broke",
      details: { code: "child_failed", cause: { code: "node_failed" } },
    },
  });
  const loose = engineWorld(compiled([node("child", "workflow", { name: "other", await: false, labels: { a: "b" } })]));
  expect(outputOf(await loose.attempt())).toEqual({ child: { taskId: expect.stringMatching(/^child-/) } });
  expect([...loose.children.values()]).toMatchObject([{ awaited: false, labels: { a: "b" } }]);
});

test("a node's timeout bounds how long it waits for a child", async () => {
  const world = engineWorld(compiled([node("child", "workflow", { name: "other" }, { timeout: "1h" })]));
  expect(await world.attempt()).toMatchObject({ waits: [{ untilMs: 4_600_000 }] });
  world.turn(3_600_000);
  expect(await world.attempt()).toMatchObject({ kind: "failed", error: { code: "node_timeout", node: "child" } });
});

test("a retry that is far off and a wait are said together, and something that arrives does not hasten the retry", async () => {
  const nodes = [
    http("limited", { retry: { attempts: 3, delay: "1m", max: "1m", jitter: 0 } }),
    node("ready", "signal", null),
    node("more", "signal", null),
  ];
  let status = 503;
  const world = engineWorld(compiled(nodes), { respond: async () => ({ status, headers: {}, body: Buffer.from("") }) });
  expect(await world.attempt()).toMatchObject({
    kind: "wait",
    waitCount: 3,
    waits: [
      { kind: "retry", node: "limited", untilMs: 1_060_000 },
      { kind: "signal", node: "ready" },
      { kind: "signal", node: "more" },
    ],
  });
  expect(world.store.get("limited")).toMatchObject({ state: "waiting", tries: 1, error: { code: "http_status" } });
  world.turn(30_000);
  world.arrive("ready", 1);
  expect(await world.attempt()).toMatchObject({ waits: [{ kind: "retry", untilMs: 1_060_000 }, { node: "more" }] });
  expect(world.requests).toHaveLength(1);
  status = 200;
  world.turn(30_000);
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ node: "more" }] });
  expect(world.store.get("limited")).toMatchObject({ state: "succeeded", tries: 2 });
});

test("of two retries that are far off, the later one is not hastened by the sooner", async () => {
  const retry = (delay: string): Readonly<Record<string, Json>> => ({ retry: { attempts: 2, delay, max: "1d", jitter: 0 } });
  const world = engineWorld(compiled([http("a", retry("1m")), http("b", retry("1h"))]), {
    respond: async () => ({ status: world.clock.ms > 1_000_000 ? 200 : 503, headers: {}, body: Buffer.from("") }),
  });
  expect(await world.attempt()).toEqual({ kind: "backoff", node: "a", delayMs: 60_000 });
  world.turn(60_000);
  expect(await world.attempt()).toEqual({ kind: "backoff", node: "b", delayMs: 3_540_000 });
  expect(world.requests).toHaveLength(3);
  world.turn(3_540_000);
  expect((await world.attempt()).kind).toBe("succeeded");
});
