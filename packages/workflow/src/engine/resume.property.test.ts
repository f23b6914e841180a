import type { Json, OutboundResponse } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileWorkflow } from "../definition/compile-workflow.ts";
import type { CompiledWorkflow } from "../definition/compiled-workflow.ts";
import { runTask } from "./run-task.ts";
import type { NodeRecord, StoredRun, TaskOutcome } from "./task-run.ts";

interface DrawnNode {
  readonly http: boolean;
  readonly needs: readonly number[];
  readonly onFailure: boolean;
  readonly when: "always" | "never" | "odd";
  readonly fails: boolean;
}

const drawnNode: fc.Arbitrary<DrawnNode> = fc.record({
  http: fc.boolean(),
  needs: fc.uniqueArray(fc.nat({ max: 30 }), { maxLength: 4 }),
  onFailure: fc.boolean(),
  when: fc.constantFrom("always", "always", "never", "odd"),
  fails: fc.boolean(),
});

function definitionOf(drawn: readonly DrawnNode[]): Json {
  const nodes = drawn.map((node, index): Json => {
    const before = [...new Set(node.needs.filter(() => index > 0).map((need) => need % index))];
    const needs = before.map(
      (need): Json => ({
        node: `n${need}`,
        on: node.onFailure && drawn[need]?.http === true && drawn[need]?.fails === true ? "failed" : "succeeded",
      }),
    );
    const parts = before.map((need) => `(has(nodes.n${need}) ? size(string(nodes.n${need}.v)) : 0)`);
    const value = `\${ ${[`${index}`, ...parts].join(" + ")} }`;
    const when: Json = node.when === "odd" ? `\${ ${[`${index}`, ...parts].join(" + ")} % 2 == 1 }` : node.when === "always";
    const common = { id: `n${index}`, needs, when };
    if (!node.http) return { ...common, kind: "transform", with: { v: value } };
    return {
      ...common,
      kind: "http",
      with: { method: "POST", url: `http://service.test/${node.fails ? "bad" : "good"}`, json: { v: value } },
    };
  });
  return { name: "drawn", nodes };
}

function respond(url: string, body: string): OutboundResponse {
  const status = url.endsWith("/bad") ? 500 : 200;
  return { status, headers: { "content-type": "application/json" }, body: Buffer.from(body) };
}

/** Runs with a store; after `stopAfter` records the process is gone, and what was not behind a barrier may be lost with it. */
async function attempt(
  workflow: CompiledWorkflow,
  store: Map<string, NodeRecord>,
  stopAfter: number,
  called: string[],
): Promise<TaskOutcome> {
  const controller = new AbortController();
  let left = stopAfter;
  const waiting: NodeRecord[] = [];
  return await runTask(
    workflow,
    { taskId: "t", input: {}, task: {}, stored: [...store.values()].map(storedRun) },
    {
      record(runs, { barrier }) {
        for (const record of runs) {
          if (left-- <= 0) {
            controller.abort();
            return barrier ? new Promise(() => undefined) : undefined;
          }
          const known = store.get(record.path);
          if (known && known.state !== "running") throw new Error(`${record.path} ran again after it had ended`);
          waiting.push(record);
        }
        // Records without a barrier reach the store only together with a later one, or at the end.
        if (barrier || stopAfter === Number.POSITIVE_INFINITY)
          for (const record of waiting.splice(0)) store.set(record.path, record);
        return barrier ? Promise.resolve() : undefined;
      },
      progress: () => undefined,
      signal: controller.signal,
      outbound: {
        async request({ url, body, headers }) {
          called.push(String(headers["idempotency-key"]));
          return respond(url, String(body));
        },
        stream: () => Promise.reject(new Error("nobody streams here")),
      },
      now: () => 0,
      sleep: () => new Promise(() => undefined),
      random: () => 0,
    },
  );
}

function storedRun({ path, state, outputJson, error, tries }: NodeRecord): StoredRun {
  return {
    path,
    state,
    tries,
    ...(outputJson === undefined ? {} : { output: JSON.parse(outputJson) as Json }),
    ...(error === undefined ? {} : { error }),
  };
}

test("any graph, stopped anywhere and resumed, ends as it does undisturbed, and no finished node runs again", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(drawnNode, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat({ max: 6 }), { maxLength: 5 }),
      async (drawn, stops) => {
        const compiled = compileWorkflow(definitionOf(drawn));
        if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults));
        const undisturbedCalls: string[] = [];
        const undisturbed = await attempt(compiled.workflow, new Map(), Number.POSITIVE_INFINITY, undisturbedCalls);
        const store = new Map<string, NodeRecord>();
        const calls: string[] = [];
        for (const stop of stops) await attempt(compiled.workflow, store, stop, calls);
        const resumed = await attempt(compiled.workflow, store, Number.POSITIVE_INFINITY, calls);
        if (undisturbed.kind === "succeeded") expect(resumed).toEqual(undisturbed);
        else expect(resumed.kind).toBe(undisturbed.kind);
        // Every call that was made carries a key that an undisturbed run would have used too.
        if (undisturbed.kind === "succeeded") expect([...new Set(calls)].sort()).toEqual([...new Set(undisturbedCalls)].sort());
      },
    ),
    { numRuns: 300 },
  );
});
