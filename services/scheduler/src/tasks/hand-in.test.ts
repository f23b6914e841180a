import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Json } from "@longhaul/core";
import { NodeReportSchema, TaskReportSchema } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { projectHeader, resumeToken, valueFromJson, valueToJson } from "@longhaul/shared";
import { afterEach, expect, test } from "vitest";
import {
  acme,
  jsonOf,
  progress,
  resume,
  type StartedScheduler,
  settle,
  startScheduler,
  success,
} from "../testing/start-scheduler.ts";

let world: StartedScheduler;
afterEach(async () => {
  await world.stop();
});

const flow: { readonly [key: string]: Json } = {
  name: "flow",
  nodes: [
    { id: "ok", kind: "approval", with: { prompt: "Go?" } },
    { id: "go", kind: "signal", with: { schema: { type: "object", required: ["n"], properties: { n: { type: "integer" } } } } },
    { id: "two", kind: "signal", with: { name: "same" } },
    { id: "three", kind: "signal", with: { name: "same" } },
    { id: "plain", kind: "transform", with: "${ input }" },
    { id: "each", kind: "foreach", with: { items: [1, 2] }, nodes: [{ id: "in.side", kind: "signal", with: { name: "inner" } }] },
  ],
};

async function begin(): Promise<string> {
  world = await startScheduler();
  await world.workflows.put({ name: "flow", definition: JSON.parse(JSON.stringify(flow)) }, acme);
  const id = await world.accepted({ workflow: "flow" });
  await settle();
  await world.claim(id);
  return id;
}

const waitingNode = (path: string, kind: string, untilMs?: number) =>
  create(NodeReportSchema, {
    path,
    kind,
    state: NodeState.WAITING,
    startTime: timestampFromMs(Date.now()),
    tries: 1,
    wait: { kind, reason: "It waits.", since: timestampFromMs(Date.now()), ...(untilMs && { until: timestampFromMs(untilMs) }) },
  });
const wait = (path: string, kind: string, seen = 0, untilMs?: number) =>
  create(TaskReportSchema, {
    outcome: {
      case: "wait",
      value: {
        waits: [
          {
            kind,
            node: path,
            reason: "It waits.",
            name: path.includes("in.side") ? "inner" : "",
            since: timestampFromMs(Date.now()),
            ...(untilMs && { until: timestampFromMs(untilMs) }),
          },
        ],
        waitCount: 1,
        seen: BigInt(seen),
      },
    },
  }).outcome;
const signal = (
  id: string,
  more: { readonly node?: string; readonly name?: string; readonly by?: string },
  payload: Json = null,
) => world.tasks.signal({ id, ...more, payload: valueFromJson(payload) }, acme);

test("a signal to a waiting task is stored, brings it back and comes with the claim; a second one is refused", async () => {
  const id = await begin();
  await world.report(id, { nodes: [waitingNode("go", "signal")], outcome: wait("go", "signal") });
  expect(await world.task(id)).toMatchObject({ state: "waiting", waits: [{ node: "go" }] });
  const { task } = await signal(id, { node: "go", by: "ann" }, { n: 3 });
  expect(task?.waits).toEqual([]);
  expect(await world.task(id)).toMatchObject({
    state: "queued",
    inbox: [{ seq: 1, node: "go", by: "ann", payload: { kind: "inline", json: '{"n":3}' } }],
  });
  await expect(signal(id, { node: "go" }, { n: 4 })).rejects.toMatchObject({ code: "conflict" });
  await settle();
  const { results } = await world.execution.claim({ executor: "e", tickets: [{ taskId: id, attempt: 1, project: "acme" }] });
  expect(results[0]?.claimed).toMatchObject({
    arrivals: [{ seq: 1n, node: "go", by: "ann" }],
    nodes: [{ path: "go", state: NodeState.WAITING, wait: { kind: "signal", reason: "It waits." } }],
  });
});

test("a signal that races the report that puts the task to sleep is not slept through", async () => {
  const id = await begin();
  const heard: Json[] = [];
  world.live.subscribe("executor.executor-1", (message) => void heard.push(message));
  await signal(id, { node: "ok" }, { choice: "approve" });
  expect(await world.task(id)).toMatchObject({ state: "running" });
  const { results } = await world.execution.heartbeat({
    executor: "executor-1",
    holds: [{ taskId: id, attempt: 1, project: "acme" }],
  });
  expect(results[0]?.arrivals).toMatchObject([{ seq: 1n, node: "ok" }]);
  await world.report(id, { nodes: [waitingNode("ok", "approval")], outcome: wait("ok", "approval", 0) });
  expect((await world.task(id)).state).toBe("queued");
});

test("what a result has taken up leaves the inbox, and its node takes nothing more", async () => {
  const id = await begin();
  await signal(id, { name: "go" }, { n: 1 });
  const done = create(NodeReportSchema, { path: "go", kind: "signal", state: NodeState.SUCCEEDED, outputJson: jsonOf({ n: 1 }) });
  await world.report(id, { nodes: [done], consumed: [1n], outcome: progress });
  expect(await world.task(id)).not.toHaveProperty("inbox");
  await expect(signal(id, { name: "go" }, { n: 2 })).rejects.toMatchObject({ code: "conflict" });
});

test("a payload that does not fit is refused with pointers, and a node or name that is none with a sentence", async () => {
  const id = await begin();
  await expect(signal(id, { node: "go" }, { n: "x" })).rejects.toMatchObject({
    code: "invalid_input",
    faults: [{ pointer: "/payload/n" }],
  });
  await expect(signal(id, { node: "ok" }, { choice: "maybe" })).rejects.toMatchObject({ code: "invalid_input" });
  const wrong = [
    [{ node: "nothing" }, "/node"],
    [{ node: "plain" }, "/node"],
    [{ node: "each[1].nothing" }, "/node"],
    [{ name: "nothing" }, "/name"],
    [{ name: "same" }, "/name"],
    [{ name: "inner" }, "/name"],
    [{}, "/name"],
    [{ name: "go", node: "go" }, "/node"],
    [{ name: "go", by: "x".repeat(201) }, "/by"],
  ] as const;
  for (const [target, pointer] of wrong)
    await expect(signal(id, target)).rejects.toMatchObject({ code: "invalid_argument", faults: [{ pointer }] });
  expect((await world.task(id)).inbox).toBeUndefined();
});

test("a node inside a foreach is found by its path, and by name while it waits", async () => {
  const id = await begin();
  await world.report(id, { nodes: [waitingNode("each[1].in.side", "signal")], outcome: wait("each[1].in.side", "signal") });
  await signal(id, { name: "inner" }, 1);
  await signal(id, { node: "each[0].in.side" }, 1);
  expect((await world.task(id)).inbox).toMatchObject([{ node: "each[1].in.side" }, { node: "each[0].in.side" }]);
});

test("a foreign project, an unknown task and an ended one take no signal", async () => {
  const id = await begin();
  const other = { headers: { [projectHeader]: "other" } };
  await expect(world.tasks.signal({ id, node: "ok" }, other)).rejects.toMatchObject({ code: "task_not_found" });
  await world.tasks.cancel({ id }, acme);
  await expect(signal(id, { node: "ok" }, { choice: "approve" })).rejects.toMatchObject({ code: "conflict" });
});

test("a link hands in one value without a project: a second use, a late one and a forged one are told apart", async () => {
  const id = await begin();
  const until = Date.now() + 60_000;
  await world.report(id, { nodes: [waitingNode("ok", "approval", until)], outcome: wait("ok", "approval", 0, until) });
  const link = await world.tasks.createResumeLink({ id, node: "ok" }, acme);
  expect(link.url).toBe(`https://lh.test/v1/resume/${link.token}`);
  expect(Number(link.expireTime?.seconds)).toBe(Math.floor(until / 1_000));
  const use = (token: string, choice = "approve") => world.tasks.resume({ token, payload: valueFromJson({ choice, by: "ann" }) });
  await expect(use(`${link.token.slice(0, -3)}AAA`)).rejects.toMatchObject({ code: "not_found" });
  await expect(use(link.token, "maybe")).rejects.toMatchObject({ code: "invalid_input" });
  expect(await use(link.token)).toMatchObject({ taskId: id, node: "ok" });
  await expect(use(link.token)).rejects.toMatchObject({ code: "conflict" });

  const key = resume.keyOf("acme", id);
  const past = resumeToken(key, { project: "acme", taskId: id, node: "two", expireTime: Date.now() - 1 });
  await expect(use(past)).rejects.toMatchObject({ code: "expired" });
  const two = (await world.tasks.createResumeLink({ id, node: "two" }, acme)).token;
  await world.tasks.cancel({ id }, acme);
  await expect(use(two)).rejects.toMatchObject({ code: "expired" });
  await expect(world.tasks.createResumeLink({ id, node: "three" }, acme)).rejects.toMatchObject({ code: "conflict" });
});

test("a link to a node whose time is up is late even while its task goes on", async () => {
  const id = await begin();
  const { token } = await world.tasks.createResumeLink({ id, node: "ok" }, acme);
  const error = { code: "node_timeout", message: "nobody chose in time", retryable: false };
  const failed = create(NodeReportSchema, { path: "ok", kind: "approval", state: NodeState.FAILED, error });
  await world.report(id, { nodes: [failed], outcome: progress });
  await expect(world.tasks.resume({ token })).rejects.toMatchObject({ code: "expired" });
});

test("of many signals at once one is taken", async () => {
  const id = await begin();
  const answers = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => signal(id, { node: "go" }, { n })));
  expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect((await world.task(id)).inbox).toHaveLength(1);
});

test("a large payload is kept outside the header and goes by key; the inbox has a bound", async () => {
  const id = await begin();
  await signal(id, { node: "two" }, "x".repeat(20_000));
  const [arrival] = (await world.task(id)).inbox ?? [];
  if (arrival?.payload?.kind !== "stored") throw new Error("not stored");
  const { json } = await world.execution.readPayload({ key: arrival.payload.key, project: "acme" });
  expect(Buffer.from(json).toString()).toBe(JSON.stringify("x".repeat(20_000)));
  for (let index = 1; index < 100; index++) await signal(id, { node: `each[${index}].in.side` });
  await expect(signal(id, { node: "each[100].in.side" })).rejects.toMatchObject({ code: "rate_limited" });
});

test("secret values are stored sealed, shown to nobody and given to executors in the clear", async () => {
  const id = await begin();
  const large = "s3cret".repeat(3_000);
  const run = (path: string, output: Json) =>
    create(NodeReportSchema, { path, kind: "transform", state: NodeState.SUCCEEDED, outputJson: jsonOf(output), secret: true });
  await world.report(id, { nodes: [run("plain", "s3cret"), run("two", large)], outcome: progress });
  const { nodes } = await world.tasks.listNodeRuns({ taskId: id }, acme);
  expect(nodes.map(({ secret, output }) => [secret, output && valueToJson(output)])).toEqual([
    [true, undefined],
    [true, undefined],
  ]);
  const kept = await world.stores.tasks.listNodeRuns({ project: "acme", id }, 10);
  expect(JSON.stringify(kept)).not.toContain("s3cret");
  await world.execution.release({ executor: "executor-1", holds: [{ taskId: id, attempt: 1, project: "acme" }] });
  await settle();
  const { results } = await world.execution.claim({ executor: "e", tickets: [{ taskId: id, attempt: 1, project: "acme" }] });
  const texts = results[0]?.claimed?.nodes.map(({ output }) =>
    output?.value.case === "json" ? JSON.parse(Buffer.from(output.value.value).toString()) : undefined,
  );
  expect(texts).toEqual(["s3cret", large]);
});

test("an ending with an inbox forgets it", async () => {
  const id = await begin();
  await signal(id, { node: "two" }, 1);
  await world.report(id, { outcome: success(null) });
  expect(await world.task(id)).not.toHaveProperty("inbox");
});
