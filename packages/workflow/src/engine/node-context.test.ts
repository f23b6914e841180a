import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import type { CompiledNode, CompiledWorkflow } from "../definition/compiled-workflow.ts";
import { NodeFailure, type NodeKind, Suspension } from "../kinds/kind.ts";
import { compiled, engineWorld, http, outputOf, transform } from "./testing/engine-world.ts";

/** The workflow with other work in the place of its node `a`. */
function withKind(workflow: CompiledWorkflow, kind: Partial<NodeKind>): CompiledWorkflow {
  const nodes = workflow.nodes.map(
    (node): CompiledNode => (node.id === "a" ? { ...node, kind: { ...node.kind, ...kind } } : node),
  );
  return { ...workflow, nodes };
}

test("lines, usage and what it spends are recorded with a node, within bounds", async () => {
  const world = engineWorld(
    withKind(compiled([http("a")], { limits: { tokens: 1000 } }), {
      run({ log, spend, progress }) {
        log("begun");
        for (let line = 0; line < 20; line++) log("x".repeat(10_000));
        spend({ inputTokens: 1, outputTokens: 2, totalTokens: 3, firstTokenMs: 40 });
        spend({ inputTokens: 10, outputTokens: 20, totalTokens: 30, firstTokenMs: 50 });
        progress({ n: 1 });
        return 1;
      },
    }),
  );
  await world.attempt();
  const record = world.store.get("a");
  expect(record?.log?.[0]).toEqual({ atMs: 1_000_000, line: "begun" });
  expect(record?.log?.at(-1)?.line).toBe("(the log is full)");
  expect(JSON.stringify(record?.log).length).toBeLessThan(65_536);
  expect(record?.usage).toEqual({ inputTokens: 11, outputTokens: 22, totalTokens: 33, firstTokenMs: 40 });
  expect(world.spent()).toMatchObject({ tokens: 33, calls: 1 });
  expect(world.progress).toEqual([["a", { n: 1 }]]);
});

test("a node that works with secrets says nothing in its log, its progress and its failures", async () => {
  const workflow = compiled([
    transform("token", "s3cret", [], { secret: true }),
    http("a", { needs: ["token"], when: "${ nodes.token != '' }" }),
  ]);
  const world = engineWorld(
    withKind(workflow, {
      run({ log, progress }) {
        log("s3cret");
        progress("s3cret");
        throw new NodeFailure("refused", "not with s3cret", { retryable: false, details: { used: "s3cret" } });
      },
    }),
  );
  const outcome = await world.attempt();
  expect(outcome).toMatchObject({ kind: "failed", error: { node: "a", details: { code: "refused" } } });
  const said = world.records.filter(({ path }) => path !== "token");
  expect(JSON.stringify([outcome, world.progress, said])).not.toContain("s3cret");
});

test("a kind can wait for a callback to its own URL, again and again, and keeps what it remembers", async () => {
  const run: NodeKind["run"] = ({ resumeUrl }) =>
    new Suspension({ kind: "callback", reason: "It waits for a call.", details: { url: resumeUrl() }, memory: { calls: 0 } });
  const resume: NodeKind["resume"] = (_context, wait, wake) => {
    const { calls } = wait.memory as { readonly calls: number };
    if (wake.kind !== "arrival") throw new Error("nothing else can come");
    return calls === 1 ? wake.payload : new Suspension({ ...wait, memory: { calls: calls + 1 } });
  };
  const world = engineWorld(withKind(compiled([http("a")]), { run, resume }));
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ kind: "callback", sinceMs: 1_000_000 }] });
  expect(world.store.get("a")?.wait?.details).toEqual({ url: "https://longhaul.test/v1/resume/a" });
  world.turn(500);
  world.arrive("a", "first");
  expect(await world.attempt()).toMatchObject({ kind: "wait", waits: [{ sinceMs: 1_000_000 }] });
  expect(world.store.get("a")?.wait?.memory).toEqual({ calls: 1 });
  world.arrive("a", "second");
  expect(outputOf(await world.attempt())).toEqual({ a: "second" });
});

test("a failure behind a wait is tried again from the start, like any other", async () => {
  const seen: string[] = [];
  const world = engineWorld(
    withKind(compiled([http("a", { retry: { attempts: 3, delay: "0s" } })]), {
      run() {
        seen.push("run");
        return new Suspension({ kind: "callback", reason: "It waits for a call." });
      },
      resume(_context, _wait, wake): Json {
        seen.push("resume");
        if (wake.kind === "arrival" && wake.payload === "good") return "good";
        throw new NodeFailure("bad", "that was bad", { retryable: true, sent: "yes" });
      },
    }),
  );
  await world.attempt();
  world.arrive("a", "bad");
  const { outcome } = world.run();
  await world.until(() => world.store.get("a")?.error?.code === "bad");
  world.turn(0);
  expect(await outcome).toMatchObject({ kind: "wait" });
  expect(world.inbox()).toEqual([]);
  world.arrive("a", "good");
  expect(outputOf(await world.attempt())).toEqual({ a: "good" });
  expect(seen).toEqual(["run", "resume", "run", "resume"]);
  expect(world.store.get("a")?.tries).toBe(2);
});

test("without services a node that needs them fails and says so", async () => {
  const world = engineWorld(compiled([{ id: "a", kind: "workflow", with: { name: "other" } }]), {
    hooks: { services: undefined as never },
  });
  expect(await world.attempt()).toMatchObject({ kind: "failed", error: { details: { code: "not_available" } } });
});

test.each([
  [{ name: "${ 1 }" }, "invalid_request"],
  [{ name: "other", revision: "${ 'x' }" }, "invalid_request"],
  [{ name: "other", labels: "${ {'a': 1} }" }, "invalid_request"],
])("a workflow node that an expression leaves without sense fails: %j", async (input, code) => {
  const world = engineWorld(compiled([{ id: "a", kind: "workflow", with: input }]));
  expect(await world.attempt()).toMatchObject({ kind: "failed", error: { details: { code } } });
  expect(world.children.size).toBe(0);
});

test("requests of one try are counted as calls one by one", async () => {
  const world = engineWorld(
    withKind(compiled([http("a")]), {
      async run({ outbound }) {
        for (let call = 0; call < 3; call++)
          await outbound.request({ method: "GET", url: "http://service.test/", headers: {}, timeoutMs: 1, maxResponseBytes: 1 });
        return null;
      },
    }),
  );
  await world.attempt();
  expect(world.spent()?.calls).toBe(3);
});
