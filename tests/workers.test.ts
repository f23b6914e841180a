import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { worker } from "@longhaul/client";
import { type NodeProcess, spawnNode } from "@longhaul/testkit";
import { afterEach, describe, expect, test } from "vitest";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const program = fileURLToPath(new URL("./src/worker-program.mjs", import.meta.url));

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start({ env: { LEASE_MS: "2000" } }));
  const processes: NodeProcess[] = [];
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((one) => one.kill("SIGKILL")));
  });

  /** A worker in a process of its own, once it serves. */
  async function spawned(name: string, served: string, mode: "answer" | "hold"): Promise<NodeProcess> {
    const one = spawnNode(program, { LONGHAUL_URL: at.system.url, WORKER: name, FUNCTION: served, MODE: mode });
    processes.push(one);
    await one.ready(/serves/);
    return one;
  }
  /** A task of one node that calls a function which nobody else serves. */
  async function called(): Promise<{ readonly id: string; readonly served: string }> {
    const served = `f-${randomUUID()}`;
    await at.api.put({ name: served, nodes: [{ id: "f", kind: "worker", with: { function: served } }], output: "${ nodes.f }" });
    const { id } = await at.api.submit({ workflow: served });
    return { id, served };
  }

  test("a task that waits for a worker holds no executor and says for which function", async () => {
    const { id, served } = await called();
    const task = await at.api.when(id, ({ state }) => state === "waiting");
    expect(task).toMatchObject({ waitingFor: { kind: "worker", node: "f", reason: expect.stringContaining(served) } });
    await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
  });

  test("kill -9 of a worker in the middle: its job goes to another one, which is told that it is the second", async () => {
    const { id, served } = await called();
    const first = await spawned("first", served, "hold");
    await first.line(/begun 1/);
    await first.kill("SIGKILL");
    await spawned("second", served, "answer");
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { by: "second", tries: 2 } });
  });

  test("a worker that is told to stop gives its job back at once, and no try is used up", async () => {
    const { id, served } = await called();
    const first = await spawned("first", served, "hold");
    await first.line(/begun 1/);
    await first.kill("SIGTERM");
    await spawned("second", served, "answer");
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { by: "second", tries: 1 } });
  });

  test("a worker frozen past its lease has lost its job: another one answers it, and the first is told to stop", async () => {
    const { id, served } = await called();
    const first = await spawned("first", served, "hold");
    await first.line(/begun 1/);
    first.freeze();
    await spawned("second", served, "answer");
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { by: "second", tries: 2 } });
    first.thaw();
    await first.line(/stopped: the job was stopped/);
    expect(await at.api.get(id)).toMatchObject({ output: { by: "second" } });
  });

  test("of two leases of a job only the later one can answer, whatever is said of the earlier", async () => {
    const { id, served } = await called();
    const poll = { worker: "raw", functions: [{ name: served, capacity: 1 }], wait: "10s" };
    interface Polled {
      readonly jobs: readonly { readonly id: string; readonly fence: number }[];
    }
    const lease = async () => {
      const [job] = (await at.api.call("/v1/workers:poll", { body: poll })).json<Polled>().jobs;
      if (job === undefined) throw new Error("there was no job");
      return job;
    };
    const first = await lease();
    // The first is not kept; the second call waits until it is lost.
    const second = await lease();
    expect(second.id).toBe(first.id);
    expect(second.fence).toBeGreaterThan(first.fence);
    const complete = async (fence: number, output: string) =>
      (await at.api.call(`/v1/jobs/${first.id}:complete`, { body: { fence, output } })).status;
    expect(await complete(first.fence, "first")).toBe(409);
    expect((await Promise.all([1, 2, 3, 4].map(() => complete(second.fence, "second")))).sort()).toEqual([200, 200, 200, 200]);
    expect(await complete(first.fence, "first")).toBe(409);
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: "second" });
  });

  test.each(["scheduler", "executor"])(
    "kill -9 of the %s while a worker has jobs: every answer reaches its task",
    async (victim) => {
      const served = `all-${victim}`;
      await at.api.put({
        name: served,
        nodes: [{ id: "f", kind: "worker", with: { function: served, input: "${ input.n }" } }],
        output: "${ nodes.f }",
      });
      let open: () => void = () => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      let full: () => void = () => {};
      const begun = new Promise<void>((resolve) => {
        full = resolve;
      });
      let count = 0;
      const one = worker({
        url: at.system.url,
        functions: {
          [served]: {
            concurrency: 6,
            handler: async (n) => {
              if (++count === 6) full();
              await gate;
              return n;
            },
          },
        },
      });
      await one.start();
      try {
        const tasks = await Promise.all(Array.from({ length: 12 }, (_, n) => at.api.submit({ workflow: served, input: { n } })));
        await begun;
        const restarting = at.system.service(victim).restart();
        // Some answers are given while it is away, the others afterwards.
        open();
        await restarting;
        for (const [n, { id }] of tasks.entries())
          expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: n });
      } finally {
        await one.stop();
      }
    },
  );

  test("a worker's answer to a secret node goes on to the next one and is shown to nobody", async () => {
    const served = `secret-${randomUUID()}`;
    const nodes = [{ id: "f", kind: "worker", secret: true, with: { function: served, input: "${ input }" } }];
    await at.api.put({ name: served, nodes, output: { length: "${ size(nodes.f.found) }" } });
    const one = worker({ url: at.system.url, functions: { [served]: { handler: () => ({ found: "hunter2" }) } } });
    await one.start();
    try {
      const { id } = await at.api.submit({ workflow: served, input: { word: "xyzzy" } });
      expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { length: 7 } });
      const [node] = await at.api.nodes(id);
      expect(node?.path).toBe("f");
      expect(JSON.stringify(node)).not.toMatch(/hunter2|xyzzy/);
    } finally {
      await one.stop();
    }
  });

  test("a cancelled task's worker hears of it within a second", async () => {
    const { id, served } = await called();
    const first = await spawned("first", served, "hold");
    await first.line(/begun 1/);
    const since = performance.now();
    await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
    await first.line(/stopped: the job was stopped: nobody waits/);
    expect(performance.now() - since).toBeLessThan(1_000);
  });
});
