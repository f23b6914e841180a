import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import type { Json, TaskView } from "./src/api.ts";
import { type Stage, stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

/** Within which a cancel must have done all that it does. */
const withinMs = 1_000;
/** As many threads as code runs in. */
const threads = Math.min(8, Math.max(2, availableParallelism()));

interface Case {
  readonly what: string;
  /** The kinds that are under way when the task is cancelled. */
  readonly kinds: readonly string[];
  readonly nodes: (at: Stage, tag: string) => readonly Json[];
  /** Resolves with what must have ended within a second, once the node is in the middle of its work. */
  readonly begun: (at: Stage, task: TaskView, tag: string) => Promise<() => Promise<void>>;
}

const isWaiting = (task: TaskView): boolean => task.state === "waiting";

/** Behind a node that was cancelled nothing runs. */
const behind = (at: Stage, needs: string, tag: string): Json => ({
  id: "behind",
  kind: "http",
  needs: [needs],
  with: { url: `${at.outside.url}/behind-${tag}` },
});

async function waiting(at: Stage, { id }: TaskView, node: string): Promise<() => Promise<void>> {
  expect(await at.api.when(id, isWaiting, 20_000)).toMatchObject({ waitingFor: { node } });
  return async () => {};
}

async function calling(at: Stage, prefix: string, count = 1): Promise<() => Promise<void>> {
  const calls = await expect
    .poll(() => at.outside.calls.filter((one) => one.path.startsWith(prefix)), { timeout: 20_000 })
    .toHaveLength(count)
    .then(() => at.outside.calls.filter((one) => one.path.startsWith(prefix)));
  return async () => void (await Promise.all(calls.map((call) => at.outside.hungUp(call, withinMs))));
}

const loop = { source: "export default () => { for (;;) {} }" };

const cases: readonly Case[] = [
  {
    what: "an http call without an answer",
    kinds: ["http"],
    nodes: (at, tag) => [{ id: "x", kind: "http", with: { url: `${at.outside.url}/hold/${tag}` } }, behind(at, "x", tag)],
    begun: (at, _task, tag) => calling(at, `/hold/${tag}`),
  },
  {
    what: "an http call that the called system will end later",
    kinds: ["http"],
    nodes: (at, tag) => [
      { id: "x", kind: "http", with: { method: "POST", url: `${at.outside.url}/job-${tag}`, async: { timeout: "1h" } } },
      behind(at, "x", tag),
    ],
    async begun(at, task, tag) {
      await waiting(at, task, "x");
      const call = await at.outside.called((one) => one.path === `/job-${tag}`);
      const { pathname } = new URL(String(call.headers["longhaul-callback-url"]), at.api.url);
      return async () => {
        expect((await at.api.call(pathname, { body: { done: true } })).status).toBe(410);
      };
    },
  },
  {
    what: "code that never ends",
    kinds: ["code"],
    nodes: (at, tag) => [
      { id: "before", kind: "http", with: { url: `${at.outside.url}/loop-${tag}` } },
      { id: "x", kind: "code", needs: ["before"], with: loop, timeout: "60s" },
      behind(at, "x", tag),
    ],
    async begun(at, { id }) {
      await expect
        .poll(async () => (await at.api.nodes(id)).find(({ path }) => path === "before")?.state, { timeout: 20_000 })
        .toBe("succeeded");
      return async () => {};
    },
  },
  {
    what: "a foreach with items under way",
    kinds: ["foreach", "http"],
    nodes: (at, tag) => [
      {
        id: "x",
        kind: "foreach",
        with: { items: [0, 1, 2, 3, 4, 5], concurrency: 3 },
        nodes: [{ id: "call", kind: "http", with: { url: `${at.outside.url}/hold/${tag}-\${ index }` } }],
      },
      behind(at, "x", tag),
    ],
    async begun(at, _task, tag) {
      const hungUp = await calling(at, `/hold/${tag}-`, 3);
      return async () => {
        await hungUp();
        // None of the other items has begun in their place.
        expect(at.outside.calls.filter((one) => one.path.startsWith(`/hold/${tag}-`))).toHaveLength(3);
      };
    },
  },
  {
    what: "a wait",
    kinds: ["wait"],
    nodes: (at, tag) => [{ id: "x", kind: "wait", with: { for: "1h" } }, behind(at, "x", tag)],
    begun: (at, task) => waiting(at, task, "x"),
  },
  {
    what: "a wait beside a call",
    kinds: ["wait", "http"],
    nodes: (at, tag) => [
      { id: "x", kind: "wait", with: { for: "1h" } },
      { id: "call", kind: "http", with: { url: `${at.outside.url}/hold/${tag}` } },
      behind(at, "x", tag),
    ],
    begun: (at, _task, tag) => calling(at, `/hold/${tag}`),
  },
  {
    what: "a signal",
    kinds: ["signal"],
    nodes: (at, tag) => [{ id: "x", kind: "signal" }, behind(at, "x", tag)],
    async begun(at, task) {
      await waiting(at, task, "x");
      return async () => {
        const late = await at.api.call(`/v1/tasks/${task.id}:signal`, { body: { node: "x", payload: 1 } });
        expect([late.status, late.json()]).toMatchObject([409, { code: "conflict" }]);
      };
    },
  },
  {
    what: "an approval",
    kinds: ["approval"],
    nodes: (at, tag) => [{ id: "x", kind: "approval", with: { prompt: "Go on?" } }, behind(at, "x", tag)],
    async begun(at, task) {
      await waiting(at, task, "x");
      const link = await at.api.call(`/v1/tasks/${task.id}:resumeLink`, { body: { node: "x" } });
      const { token } = link.json<{ readonly token: string }>();
      return async () => {
        expect((await at.api.call(`/v1/resume/${token}`, { body: { choice: "approve" } })).status).toBe(410);
      };
    },
  },
  {
    what: "a child that calls, whose child waits",
    kinds: ["workflow"],
    nodes: (at, tag) => [{ id: "x", kind: "workflow", with: { name: "below", input: { tag } } }, behind(at, "x", tag)],
    async begun(at, task, tag) {
      const hungUp = await calling(at, `/hold/below-${tag}`);
      await waiting(at, task, "x");
      const below = async (workflow: string) =>
        (await at.api.list(`workflow=${workflow}`)).filter((one) => JSON.stringify(one.input).includes(tag));
      await expect.poll(async () => (await below("lowest")).map(({ state }) => state), { timeout: 20_000 }).toEqual(["waiting"]);
      const ids = [...(await below("below")), ...(await below("lowest"))].map(({ id }) => id);
      expect(ids).toHaveLength(2);
      return async () => {
        const ends = await Promise.all(ids.map((id) => at.api.ended(id, withinMs)));
        expect(ends.map(({ state }) => state)).toEqual(["cancelled", "cancelled"]);
        await hungUp();
      };
    },
  },
  {
    what: "a model that does not answer",
    kinds: ["llm"],
    nodes: (at, tag) => [
      { id: "x", kind: "llm", with: { connection: "silent", model: "m", messages: [{ role: "user", content: tag }] } },
      behind(at, "x", tag),
    ],
    async begun(at, _task, tag) {
      const call = await at.outside.called((one) => one.path.startsWith("/hold/model") && one.body.includes(tag));
      return () => at.outside.hungUp(call, withinMs);
    },
  },
  {
    what: "a function that no worker serves",
    kinds: ["worker"],
    nodes: (at, tag) => [{ id: "x", kind: "worker", with: { function: "nobody", input: { tag } } }, behind(at, "x", tag)],
    begun: (at, task) => waiting(at, task, "x"),
  },
  {
    what: "a function that a worker works on",
    kinds: ["worker"],
    nodes: (at, tag) => [{ id: "x", kind: "worker", with: { function: `f-${tag}`, input: { tag } } }, behind(at, "x", tag)],
    async begun(at, _task, tag) {
      const poll = { worker: "a worker of a test", functions: [{ name: `f-${tag}`, capacity: 1 }], wait: "20s" };
      const { jobs } = (await at.api.call("/v1/workers:poll", { body: poll })).json<{
        readonly jobs: readonly { readonly id: string; readonly fence: number; readonly input: Json }[];
      }>();
      expect(jobs).toMatchObject([{ input: { tag } }]);
      const held = jobs.map(({ id, fence }) => ({ id, fence }));
      // The worker hears of it by the heartbeat that it has under way.
      const beat = at.api.call("/v1/workers:heartbeat", { body: { jobs: held, wait: "20s" } });
      return async () => {
        expect((await beat).json()).toMatchObject({ jobs: [{ id: held[0]?.id, verdict: "cancelled" }] });
        const late = await at.api.call(`/v1/jobs/${held[0]?.id}:complete`, { body: { fence: held[0]?.fence, output: 1 } });
        expect([404, 409], late.text).toContain(late.status);
      };
    },
  },
];

/** Kinds that are over at once: there is no middle to cancel them in. */
const momentary = ["transform"];

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() =>
    start({ env: { EXECUTOR_CONCURRENCY: String(threads), LEASE_MS: "60000", PUBLIC_URL: "https://longhaul.example" } }),
  );

  async function registered(): Promise<readonly string[]> {
    const schema = (await at.api.call("/v1/workflow-schema")).json<{
      readonly $defs: { readonly node: { readonly properties: { readonly kind: { readonly enum: readonly string[] } } } };
    }>();
    return schema.$defs.node.properties.kind.enum;
  }

  /** Cancels; the answer, what the API shows, and all that the task did must have ended within a second. */
  async function cancelled(tasks: readonly { readonly id: string; readonly over: () => Promise<void> }[]): Promise<void> {
    const since = performance.now();
    await Promise.all(
      tasks.map(async ({ id, over }) => {
        const reply = await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
        expect([reply.status, reply.json()]).toMatchObject([200, { id, state: "cancelled" }]);
        await over();
        expect(await at.api.get(id)).toMatchObject({ state: "cancelled", error: { code: "cancelled" } });
      }),
    );
    expect(performance.now() - since).toBeLessThan(withinMs);
  }

  test("every kind that Longhaul has is cancelled in a test of this file", async () => {
    const covered = new Set([...momentary, ...cases.flatMap(({ kinds }) => kinds)]);
    expect((await registered()).filter((kind) => !covered.has(kind))).toEqual([]);
  });

  test.each(cases)("$what ends within a second of a cancel", async ({ kinds, nodes, begun }) => {
    const known = new Set(await registered());
    expect(kinds.filter((kind) => !known.has(kind))).toEqual([]);
    await at.api.put({ name: "lowest", nodes: [{ id: "stay", kind: "signal" }] });
    await at.api.put({
      name: "below",
      nodes: [
        { id: "call", kind: "http", with: { url: `${at.outside.url}/hold/below-\${ input.tag }` } },
        { id: "lower", kind: "workflow", with: { name: "lowest", input: { tag: "${ input.tag }" } } },
      ],
    });
    if (kinds.includes("llm")) {
      const put = { method: "PUT", body: { baseUrl: `${at.outside.url}/hold/model`, apiKey: "key-of-a-test" } } as const;
      expect((await at.api.call("/v1/connections/silent", put)).status).toBe(200);
    }
    const tag = randomUUID();
    const name = `cancel-${tag}`;
    await at.api.put({ name, nodes: nodes(at, tag) });
    const task = await at.api.submit({ workflow: name, input: { tag } });
    const over = await begun(at, task, tag);
    await cancelled([{ id: task.id, over }]);

    const runs = await at.api.nodes(task.id);
    expect(runs.filter(({ state }) => !["succeeded", "cancelled"].includes(state))).toEqual([]);
    // The place is free again, and what stood behind the node has not run.
    await at.api.put({ name: "next", nodes: [{ id: "y", kind: "transform", with: {} }] });
    for (let i = 0; i < threads; i++) {
      expect(await at.api.ended((await at.api.submit({ workflow: "next" })).id, 10_000)).toMatchObject({ state: "succeeded" });
    }
    expect(at.outside.calls.filter((one) => one.path === `/behind-${tag}`)).toEqual([]);
    expect(await at.api.get(task.id)).not.toHaveProperty("output");
  });

  test("code that never ends in every thread is killed with its thread: other code runs again", async () => {
    await at.api.put({ name: "loop", nodes: [{ id: "x", kind: "code", with: loop, timeout: "60s" }] });
    await at.api.put({ name: "code", nodes: [{ id: "x", kind: "code", with: { source: "export default () => 42" } }] });
    const tasks = await Promise.all(Array.from({ length: threads }, () => at.api.submit({ workflow: "loop" })));
    await Promise.all(tasks.map(({ id }) => at.api.when(id, ({ state }) => state === "running", 20_000)));
    await cancelled(tasks.map(({ id }) => ({ id, over: async () => {} })));
    const after = await at.api.submit({ workflow: "code" });
    expect(await at.api.ended(after.id, 15_000)).toMatchObject({ state: "succeeded", output: { x: 42 } });
  });
});
