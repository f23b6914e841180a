import type { Json } from "@longhaul/core";
import { afterAll, expect, test } from "vitest";
import { compileWorkflow } from "../../definition/compile-workflow.ts";
import { runTask } from "../../engine/run-task.ts";
import type { ArrivalFact, NodeRecord, TaskFacts, TaskHooks } from "../../engine/task-run.ts";
import { closeEvaluator } from "../../expression/evaluate.ts";
import { type Answer, fakeOutbound, jsonAnswer } from "./testing/http-world.ts";

afterAll(closeEvaluator);

async function run(nodes: readonly Json[], ...answers: readonly Answer[]) {
  return runWith(nodes, fakeOutbound(...answers));
}

async function runWith(
  nodes: readonly Json[],
  outbound: ReturnType<typeof fakeOutbound>,
  more: { readonly facts?: Partial<TaskFacts>; readonly hooks?: Partial<TaskHooks> } = {},
) {
  const compiled = compileWorkflow({ name: "w", nodes });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults));
  const records: NodeRecord[] = [];
  const hooks: TaskHooks = {
    record: (runs) => void records.push(...runs),
    progress: () => undefined,
    signal: new AbortController().signal,
    outbound,
    now: () => 1_000_000,
    sleep: () => new Promise(() => undefined),
    random: () => 0,
    resumeUrl: (path) => `https://longhaul.example/resume/s3cret-${path}`,
    ...more.hooks,
  };
  const facts = { taskId: "t1", input: { token: "s3cret" }, task: { id: "t1" }, stored: [], ...more.facts };
  const outcome = await runTask(compiled.workflow, facts, hooks);
  return { outcome, records, sent: outbound.sent };
}

test("the expressions of pages see the page and what the node itself sees, each time anew", async () => {
  const { outcome, sent } = await run(
    [
      { id: "start", kind: "transform", with: { last: 3 } },
      {
        id: "list",
        kind: "http",
        needs: ["start"],
        with: {
          url: "http://x.test/",
          paginate: {
            items: "${ response.body.filter(x, x > 1) }",
            next: "${ response.body[0] < nodes.start.last ? '/' + string(response.body[0]) : null }",
          },
        },
      },
    ],
    jsonAnswer([1, 2]),
    jsonAnswer([2]),
    jsonAnswer([3]),
  );
  expect(outcome.kind === "succeeded" && JSON.parse(outcome.outputJson)).toMatchObject({ list: { body: [2, 2, 3], pages: 3 } });
  expect(sent.map(({ url }) => url)).toEqual(["http://x.test/", "http://x.test/1", "http://x.test/2"]);
});

test("a large page is evaluated in another thread, which sees it as well", async () => {
  const page = Array.from({ length: 20_000 }, (_item, index) => index);
  const paginate = { items: "${ response.body.filter(x, x % 2 == 0) }", next: null };
  const { outcome } = await run([{ id: "list", kind: "http", with: { url: "http://x.test/", paginate } }], jsonAnswer(page));
  const output: unknown = outcome.kind === "succeeded" ? JSON.parse(outcome.outputJson) : outcome;
  expect(output).toMatchObject({ list: { body: page.filter((item) => item % 2 === 0), pages: 1 } });
});

test("a page's expression that fails fails the node, with its place in the definition", async () => {
  const node = { id: "list", kind: "http", with: { url: "http://x.test/", paginate: { next: "${ response.body.nope }" } } };
  const { outcome, records } = await run([node], jsonAnswer([]));
  expect(outcome).toMatchObject({ kind: "failed", error: { node: "list", details: { code: "expression_error" } } });
  expect(records.at(-1)?.error).toMatchObject({ details: { pointer: "/nodes/0/with/paginate/next" } });
});

test("what is recorded of a node does not hold its credentials", async () => {
  const node = { id: "a", kind: "http", with: { url: "http://x.test/", auth: { bearer: "${ input.token }" }, json: { a: 1 } } };
  const { records, sent } = await run([node], { status: 500, body: Buffer.from("s3cret") });
  expect(sent[0]?.headers["authorization"]).toBe("Bearer s3cret");
  expect(records.map(({ state }) => state)).toEqual(["running", "failed"]);
  expect(JSON.parse(records[0]?.inputJson ?? "")).toEqual({
    url: "http://x.test/",
    auth: { bearer: "[redacted]" },
    json: { a: 1 },
  });
  expect(JSON.stringify(records)).not.toContain("s3cret");
});

const job = { id: "job", kind: "http", with: { url: "http://x.test/", async: { timeout: "1m" } } };
const taken = { ...jsonAnswer({ job: 7 }), status: 202 };
const callback: ArrivalFact = { seq: 1, node: "job", payload: { done: true }, by: "" };
const output = { job: { status: 202, accepted: { job: 7 }, body: { done: true } } };

/** The task after the call was taken, as it is stored. */
async function waiting() {
  const { outcome, records, sent } = await run([job], taken);
  const last = records.at(-1);
  if (last?.wait === undefined) throw new Error("the node does not wait");
  const { path, wait, tries, startTimeMs } = last;
  const stored: TaskFacts["stored"] = [{ path, state: "waiting", wait, tries, startTimeMs, sinceMs: 1_000_000 }];
  return { outcome, records, sent, stored };
}

test("a call whose result comes later lets its task wait, and nothing stored of it tells the callback URL", async () => {
  const { outcome, records, sent } = await waiting();
  expect(outcome).toMatchObject({ kind: "wait", waits: [{ kind: "callback", node: "job", untilMs: 1_060_000 }] });
  expect(sent[0]?.headers["longhaul-callback-url"]).toBe("https://longhaul.example/resume/s3cret-job");
  expect(JSON.stringify(records)).not.toContain("s3cret");
});

test("the callback ends the node in a later attempt, and the call is not made again", async () => {
  const { stored } = await waiting();
  const { outcome, sent } = await runWith([job], fakeOutbound(taken), { facts: { stored, arrivals: [callback] } });
  expect(outcome.kind === "succeeded" && JSON.parse(outcome.outputJson)).toMatchObject(output);
  expect(sent).toEqual([]);
});

test("a callback that comes before the answer is not lost", async () => {
  let arrive: (arrivals: readonly ArrivalFact[]) => void = () => undefined;
  const answers = fakeOutbound(taken);
  const outbound: typeof answers = {
    sent: answers.sent,
    stream: answers.stream,
    request(request) {
      arrive([callback]);
      return answers.request(request);
    },
  };
  const onArrivals: NonNullable<TaskHooks["onArrivals"]> = (listener) => {
    arrive = listener;
    return () => undefined;
  };
  const { outcome } = await runWith([job], outbound, { hooks: { onArrivals } });
  expect(outcome.kind === "succeeded" && JSON.parse(outcome.outputJson)).toMatchObject(output);
});

test("without a callback in time the node fails, and is called again where it may be", async () => {
  const { stored } = await waiting();
  const late = { now: () => 1_060_000 };
  const failed = await runWith([job], fakeOutbound(taken), { facts: { stored }, hooks: late });
  expect(failed.outcome).toMatchObject({ kind: "failed", error: { node: "job", details: { code: "callback_timeout" } } });
  const again = { ...job, retry: { attempts: 2, delay: "0ms" } };
  const retried = await runWith([again], fakeOutbound(taken), {
    facts: { stored },
    hooks: { ...late, sleep: (ms) => (ms === 0 ? Promise.resolve() : new Promise(() => undefined)) },
  });
  expect(retried.outcome).toMatchObject({ kind: "wait", waits: [{ node: "job", untilMs: 1_120_000 }] });
  expect(retried.sent).toHaveLength(1);
});

test("a node's timeout is for its request, not for the wait", async () => {
  const { outcome } = await runWith([{ ...job, timeout: "5s" }], fakeOutbound(taken));
  expect(outcome).toMatchObject({ kind: "wait", waits: [{ node: "job", untilMs: 1_060_000 }] });
});
