import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError } from "@longhaul/core";
import { NodeReportSchema, Verdict } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { afterEach, expect, test } from "vitest";
import { acme, jsonOf, progress, type StartedScheduler, startScheduler, success } from "../testing/start-scheduler.ts";

let world: StartedScheduler;
afterEach(async () => {
  await world.stop();
});

const node = (path: string, output: unknown, state: NodeState = NodeState.SUCCEEDED) =>
  create(NodeReportSchema, {
    path,
    kind: "transform",
    state,
    outputJson: Buffer.from(JSON.stringify(output)),
    startTime: timestampFromMs(Date.now()),
    tries: 1,
  });

test("a claim needs the attempt of its ticket; a second one is stale", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  expect(await world.claim(id, 1)).toBe(false);
  expect(await world.claim(id, 0)).toBe(true);
  expect(await world.claim(id, 0, "executor-2")).toBe(false);
  expect(await world.claim("01930000-0000-7000-8000-ffffffffffff")).toBe(false);
  expect(await world.task(id)).toMatchObject({ state: "running", executor: "executor-1", attempt: 1, tries: 1 });
});

test("a claim whose answer was lost is answered again with the same attempt", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  expect(await world.claim(id)).toBe(true);
  expect(await world.claim(id)).toBe(true);
  expect(await world.task(id)).toMatchObject({ attempt: 1, tries: 1 });
  await world.report(id, { nodes: [node("a", 1)], outcome: progress });
  expect(await world.claim(id)).toBe(false);
});

test("a foreign project can't claim what it knows the id of", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  const { results } = await world.execution.claim({ executor: "e", tickets: [{ taskId: id, attempt: 0, project: "other" }] });
  expect(results[0]?.claimed).toBeUndefined();
});

test("a later attempt is given what is stored, large values by key once the answer is full", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  await world.claim(id);
  const large = "x".repeat(700_000);
  await world.report(id, {
    nodes: [node("a", 1), node("b", large), node("c", large), node("d", "s", NodeState.RUNNING)],
    outcome: progress,
  });
  await world.execution.release({ executor: "executor-1", holds: [{ taskId: id, attempt: 1, project: "acme" }] });
  await expect.poll(async () => (await world.task(id)).state).toBe("queued");
  const { results } = await world.execution.claim({
    executor: "executor-2",
    tickets: [{ taskId: id, attempt: 1, project: "acme" }],
  });
  const nodes = new Map(results[0]?.claimed?.nodes.map((one) => [one.path, one]));
  expect([...nodes.keys()]).toEqual(["a", "b", "c", "d"]);
  expect(nodes.get("b")?.output?.value.case).toBe("json");
  expect(nodes.get("c")?.output?.value).toEqual({ case: "key", value: `${id}/c/1/1/output` });
  const { json } = await world.execution.readPayload({ key: `${id}/c/1/1/output`, project: "acme" });
  expect(Buffer.from(json).toString()).toBe(JSON.stringify(large));
  await expect(world.execution.readPayload({ key: "nothing", project: "acme" })).rejects.toMatchObject({ code: "not_found" });
});

test("a claimed task that can't be read costs its neighbours nothing", async () => {
  world = await startScheduler();
  const { stores } = world;
  const [bad, good] = [await world.accepted(), await world.accepted()];
  for (const id of [bad, good]) {
    await world.claim(id);
    await world.execution.release({ executor: "executor-1", holds: [{ taskId: id, attempt: 1, project: "acme" }] });
  }
  await world.stop();
  world = await startScheduler({
    stores,
    store: {
      ...stores.tasks,
      listNodeRuns: async (key, ...rest) =>
        key.id === bad ? Promise.reject(new TypeError("torn row")) : stores.tasks.listNodeRuns(key, ...rest),
    },
  });
  const tickets = [bad, good].map((taskId) => ({ taskId, attempt: 1, project: "acme" }));
  const { results } = await world.execution.claim({ executor: "executor-2", tickets });
  expect(results.map(({ claimed }) => claimed !== undefined)).toEqual([false, true]);
  expect(world.logged).toContainEqual(
    expect.objectContaining({ level: "error", fields: expect.objectContaining({ taskId: bad }) }),
  );
});

test("reports are applied in order, once, and only for the holder", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  expect(await world.report(id, { outcome: success(1) })).toBe(Verdict.LOST);
  await world.claim(id);
  expect(await world.report(id, { number: 2, outcome: progress })).toBe(Verdict.LOST);
  expect(await world.report(id, { outcome: progress }, "executor-2")).toBe(Verdict.LOST);
  expect(await world.report(id, { attempt: 2, outcome: progress })).toBe(Verdict.LOST);
  expect(await world.report(id, { nodes: [node("a", 1)], outcome: progress })).toBe(Verdict.CONTINUE);
  expect(await world.report(id, { nodes: [node("a", 2)], outcome: progress })).toBe(Verdict.CONTINUE);
  expect(await world.report(id, { number: 2, outcome: success({ n: 1 }) })).toBe(Verdict.CONTINUE);
  expect(await world.report(id, { number: 2, outcome: success({ n: 2 }) })).toBe(Verdict.CONTINUE);
  expect(await world.report(id, { number: 3, outcome: success({ n: 3 }) })).toBe(Verdict.LOST);
  expect(await world.task(id)).toMatchObject({ state: "succeeded", output: { json: '{"n":1}' } });
  const { nodes } = await world.tasks.listNodeRuns({ taskId: id }, acme);
  expect(nodes.map(({ path, output }) => [path, output?.kind.value])).toEqual([["a", 1]]);
  expect(await world.report("01930000-0000-7000-8000-ffffffffffff", { outcome: progress })).toBe(Verdict.LOST);
});

test("the holder of a cancelled task is told to stop, whatever it asks", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  await world.claim(id);
  await world.report(id, { outcome: progress });
  const { task } = await world.tasks.cancel({ id, reason: "enough" }, acme);
  expect(task?.error).toMatchObject({ code: "cancelled", message: "enough" });
  expect(await world.report(id, { outcome: progress })).toBe(Verdict.CANCEL);
  expect(await world.report(id, { number: 2, outcome: success(1) })).toBe(Verdict.CANCEL);
  const { results } = await world.execution.heartbeat({
    executor: "executor-1",
    holds: [{ taskId: id, attempt: 1, project: "acme" }],
  });
  expect(results[0]?.verdict).toBe(Verdict.CANCEL);
  expect((await world.task(id)).state).toBe("cancelled");
});

test("cancel rings the holder", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  await world.claim(id);
  const told = new Promise((resolve) => world.live.subscribe("executor.executor-1", resolve));
  await world.tasks.batchCancel({ ids: [id] }, acme);
  expect(await told).toEqual({ taskId: id, attempt: 1 });
});

test.each([1_000, 9_000, 300_000])("an output of %i bytes comes back as it went in", async (size) => {
  world = await startScheduler();
  const id = await world.accepted();
  await world.claim(id);
  const value = { text: "y".repeat(size) };
  await world.report(id, { nodes: [node("a", value)], outcome: success(value) });
  const { task } = await world.tasks.get({ id }, acme);
  expect(task?.output?.kind.case).toBe("structValue");
  expect(JSON.stringify(task?.output)).toContain(value.text);
  const { nodes } = await world.tasks.listNodeRuns({ taskId: id }, acme);
  expect(JSON.stringify(nodes[0]?.output)).toContain(value.text);
});

test("an output that is too large fails its task in a sentence, and there is nothing left to hold", async () => {
  world = await startScheduler({ maxValueBytes: 100 });
  const [first, second] = [await world.accepted(), await world.accepted()];
  await world.claim(first);
  await world.claim(second);
  expect(await world.report(first, { nodes: [node("a", "x".repeat(200)), node("b", 1)], outcome: progress })).toBe(Verdict.LOST);
  expect(await world.report(second, { outcome: success("x".repeat(200)) })).toBe(Verdict.CONTINUE);
  expect(await world.task(first)).toMatchObject({
    state: "failed",
    error: { code: "node_failed", node: "a", details: { cause: "too_large" } },
  });
  expect(await world.task(second)).toMatchObject({ state: "failed", error: { details: { cause: "too_large", bytes: 202 } } });
  const { nodes } = await world.tasks.listNodeRuns({ taskId: first }, acme);
  expect(nodes.map(({ path }) => path)).toEqual(["b"]);
});

test("a backoff lets the executor go, says what it waits for, and costs no try", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  await world.claim(id);
  await world.report(id, { outcome: { case: "backoff", value: { delay: durationFromMs(60_000), node: "a" } } });
  expect(await world.task(id)).toMatchObject({
    state: "queued",
    tries: 0,
    queueing: { kind: "delayed", why: "retry", node: "a" },
  });
  const { task } = await world.tasks.get({ id }, acme);
  expect(task?.waitingFor).toMatchObject({ kind: "retry", node: "a" });
  expect(await world.claim(id, 1)).toBe(false);
});

test("what is given back is dispatched again without costing a try", async () => {
  world = await startScheduler();
  const id = await world.accepted();
  await world.claim(id);
  const hold = { taskId: id, attempt: 1, project: "acme" };
  const wrong = await world.execution.release({ executor: "executor-2", holds: [hold] });
  const right = await world.execution.release({ executor: "executor-1", holds: [hold] });
  expect([wrong, right].map(({ results }) => results[0]?.verdict)).toEqual([Verdict.LOST, Verdict.CONTINUE]);
  await expect.poll(() => world.tickets.at(-1)).toEqual({ project: "acme", taskId: id, attempt: 1, alone: false });
  expect((await world.task(id)).tries).toBe(0);
});

test("a store that is away makes the whole call unavailable, so that it is sent again", async () => {
  world = await startScheduler();
  const { stores } = world;
  const id = await world.accepted();
  await world.claim(id);
  await world.stop();
  let isAway = true;
  const away = new LonghaulError("unavailable", "away");
  world = await startScheduler({
    stores,
    store: { ...stores.tasks, replace: async (changes) => (isAway ? Promise.reject(away) : stores.tasks.replace(changes)) },
  });
  await expect(world.report(id, { outcome: success(1) })).rejects.toMatchObject({ code: "unavailable" });
  isAway = false;
  expect(await world.report(id, { outcome: success(1) })).toBe(Verdict.CONTINUE);
});

test("a definition is read by its revision", async () => {
  world = await startScheduler();
  const { definitionJson } = await world.execution.readDefinition({ project: "acme", workflow: "echo", revision: 1 });
  expect(JSON.parse(Buffer.from(definitionJson).toString())).toMatchObject({ name: "echo" });
  await expect(world.execution.readDefinition({ project: "acme", workflow: "echo", revision: 2 })).rejects.toMatchObject({
    code: "workflow_not_found",
  });
  await expect(world.execution.readDefinition({ project: "other", workflow: "echo", revision: 1 })).rejects.toMatchObject({
    code: "workflow_not_found",
  });
});

test("a retry copies what succeeded, with its values, and nothing else; a key makes one", async () => {
  world = await startScheduler();
  const id = await world.accepted({ inputJson: jsonOf("i".repeat(10_000)), labels: { a: "b" }, priority: 2 });
  await expect(world.tasks.retry({ id }, acme)).rejects.toMatchObject({ code: "conflict" });
  await world.claim(id);
  const large = "x".repeat(10_000);
  await world.report(id, {
    nodes: [
      node("done", large),
      node("broken", 0, NodeState.FAILED),
      node("passed", 0, NodeState.SKIPPED),
      node("begun", 0, NodeState.RUNNING),
    ],
    outcome: { case: "failure", value: { error: { code: "node_failed", message: "no", node: "broken" } } },
  });
  const first = await world.tasks.retry({ id, requestId: "k" }, acme);
  const second = await world.tasks.retry({ id, requestId: "k" }, acme);
  const other = await world.tasks.retry({ id }, acme);
  expect([first.replayed, second.replayed, other.replayed]).toEqual([false, true, false]);
  expect(second.task?.id).toBe(first.task?.id);
  expect(other.task?.id).not.toBe(first.task?.id);
  expect(first.task).toMatchObject({ retryOf: id, labels: { a: "b" }, priority: 2, attempt: 0 });
  const again = first.task?.id ?? "";
  const { nodes } = await world.tasks.listNodeRuns({ taskId: again }, acme);
  expect(nodes.map(({ path, attempt }) => [path, attempt])).toEqual([["done", 0]]);
  // Values belong to one task each: retention removes them with their task.
  expect((await world.task(again)).input).toMatchObject({ kind: "stored", key: `${again}/input` });
  const { results } = await world.execution.claim({ executor: "e", tickets: [{ taskId: again, attempt: 0, project: "acme" }] });
  const [stored] = results[0]?.claimed?.nodes ?? [];
  expect(stored?.output?.value).toEqual({ case: "json", value: Buffer.from(JSON.stringify(large)) });
  expect(await world.task(id)).toMatchObject({ state: "failed" });
  await expect(world.tasks.retry({ id: "01930000-0000-7000-8000-ffffffffffff" }, acme)).rejects.toMatchObject({
    code: "task_not_found",
  });
});
