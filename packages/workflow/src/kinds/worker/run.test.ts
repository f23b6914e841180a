import { expect, test } from "vitest";
import { compiled, engineWorld } from "../../engine/testing/engine-world.ts";

const nodes = [{ id: "call", kind: "worker", with: { function: "resize", input: { n: "${ input.n }" } } }];

function begun(more: Readonly<Record<string, string | number | boolean | object>> = {}) {
  const world = engineWorld(compiled([{ ...nodes[0], ...more } as (typeof nodes)[number]]), { input: { n: 3 } });
  return world;
}

test("the node gives its function to a worker, waits until its time is up, and says for which function", async () => {
  const world = begun({ timeout: "5m" });
  const outcome = await world.run().outcome;
  const [job] = world.jobs.values();
  expect(job).toMatchObject({
    node: "call",
    function: "resize",
    input: { n: 3 },
    untilMs: world.clock.ms + 300_000,
    withheld: false,
  });
  expect(outcome).toMatchObject({
    kind: "wait",
    waits: [{ kind: "worker", node: "call", name: "resize", untilMs: job?.untilMs, reason: expect.stringContaining('"resize"') }],
  });
});

test("the time of a node that gives none is an hour", async () => {
  const world = begun();
  expect(await world.run().outcome).toMatchObject({ waits: [{ untilMs: world.clock.ms + 3_600_000 }] });
});

test("the worker's answer is the node's output, and what it wrote is the node's log", async () => {
  const world = begun();
  await world.run().outcome;
  const [job] = world.jobs.keys();
  world.arrive("call", { job: job ?? "", output: { w: 9 }, log: [{ at: 1, line: "half" }] });
  expect(await world.run().outcome).toMatchObject({ kind: "succeeded" });
  expect(world.store.get("call")).toMatchObject({ outputJson: '{"w":9}', log: [{ line: "half" }] });
});

test("an answer to another job is passed over", async () => {
  const world = begun();
  await world.run().outcome;
  world.arrive("call", { job: "another", output: 1 });
  expect(await world.run().outcome).toMatchObject({ kind: "wait", waits: [{ name: "resize" }] });
});

test("a failure has the worker's code and words, and is tried again only where the worker says so", async () => {
  const retry = { retry: { attempts: 3, delay: "30s", jitter: 0 } };
  const world = begun(retry);
  await world.run().outcome;
  const [first = ""] = world.jobs.keys();
  world.arrive("call", { job: first, error: { code: "busy", message: "later", retryable: true } });
  expect(await world.run().outcome).toMatchObject({ node: "call", delayMs: 30_000 });
  world.clock.ms += 30_000;
  expect(await world.run().outcome).toMatchObject({ kind: "wait", waits: [{ kind: "worker" }] });
  const [, second = ""] = world.jobs.keys();
  expect(second).not.toBe("");
  expect(second).not.toBe(first);
  const error = { code: "bad_image", message: "no pixels", retryable: false, details: { at: 4 } };
  world.arrive("call", { job: second, error });
  expect(await world.run().outcome).toMatchObject({ kind: "failed" });
  expect(world.store.get("call")?.error).toMatchObject({ ...error, node: "call" });
  expect(world.jobs.size).toBe(2);
});

test("a function that is not answered in time fails the node", async () => {
  const world = begun({ timeout: "5m" });
  await world.run().outcome;
  world.clock.ms += 300_000;
  expect(await world.run().outcome).toMatchObject({
    kind: "failed",
    error: { code: "node_timeout", message: expect.stringContaining("resize") },
  });
});

test("the name of a function is checked before a worker is asked", async () => {
  const world = engineWorld(compiled([{ id: "call", kind: "worker", with: { function: "${ input.name }" } }]), {
    input: { name: "no such/name" },
  });
  expect(await world.run().outcome).toMatchObject({ kind: "failed" });
  expect(world.store.get("call")?.error).toMatchObject({ code: "invalid_request", details: { pointer: "/with/function" } });
  expect(world.jobs.size).toBe(0);
});
