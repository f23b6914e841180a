import { create } from "@bufbuild/protobuf";
import type { Json } from "@longhaul/core";
import { NodeReportSchema, TaskReportSchema } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { RetryRevision } from "@longhaul/proto/task_service";
import { afterEach, expect, test } from "vitest";
import { acme, jsonOf, type StartedScheduler, settle, startScheduler } from "../testing/start-scheduler.ts";

let world: StartedScheduler;
afterEach(async () => {
  await world.stop();
});

const node = (id: string, needs: readonly string[] = [], more: { readonly [key: string]: Json } = {}): Json => ({
  id,
  kind: "transform",
  needs: [...needs],
  with: 1,
  ...more,
});
const each = (kind: string): Json => ({
  id: "each",
  kind: "foreach",
  with: { items: [1] },
  nodes: [{ id: "in", kind, with: kind === "signal" ? {} : 1 }],
});
const first: readonly Json[] = [node("a"), node("b", ["a"]), node("c", ["b"]), node("d"), each("transform")];

const put = (nodes: readonly Json[], more: { readonly [key: string]: Json } = {}) =>
  world.workflows.put({ name: "flow", definition: JSON.parse(JSON.stringify({ name: "flow", nodes, ...more })) }, acme);

/** An ended task with a result of every node, items of the foreach and leave to go on included. */
async function failedTask(): Promise<string> {
  world = await startScheduler();
  await settle();
  await put(first);
  const id = await world.accepted({ workflow: "flow" });
  await world.claim(id);
  const done = (path: string, kind = "transform") =>
    create(NodeReportSchema, { path, kind, state: NodeState.SUCCEEDED, outputJson: jsonOf(path) });
  const nodes = [
    ...["a", "b", "c", "d", "each[0].in"].map((path) => done(path)),
    done("each[0]", "foreach"),
    done("$budget", "budget"),
  ];
  const error = { code: "node_failed", message: "It broke.", retryable: false };
  const outcome = create(TaskReportSchema, { outcome: { case: "failure", value: { error } } }).outcome;
  await world.report(id, { nodes, outcome });
  return id;
}

async function keptBy(taskId: string | undefined): Promise<readonly string[]> {
  const runs = await world.stores.tasks.listNodeRuns({ project: "acme", id: taskId ?? "" }, 100);
  return runs.map(({ path }) => path).sort();
}

test("a plain retry goes on behind every result, and asks again for leave over a ceiling", async () => {
  const id = await failedTask();
  const { task } = await world.tasks.retry({ id }, acme);
  expect(task).toMatchObject({ retryOf: id, revision: 1 });
  expect(await keptBy(task?.id)).toEqual(["a", "b", "c", "d", "each[0]", "each[0].in"]);
});

test("a retry from a node runs it and everything behind it again", async () => {
  const id = await failedTask();
  const { task } = await world.tasks.retry({ id, from: "b" }, acme);
  expect(await keptBy(task?.id)).toEqual(["a", "d", "each[0]", "each[0].in"]);
  const other = await world.tasks.retry({ id, from: "each" }, acme);
  expect(await keptBy(other.task?.id)).toEqual(["a", "b", "c", "d"]);
});

test("a node that the revision does not have is refused, and makes no task", async () => {
  const id = await failedTask();
  await expect(world.tasks.retry({ id, from: "nothing" }, acme)).rejects.toMatchObject({
    code: "invalid_argument",
    faults: [{ pointer: "/from" }],
  });
  const { tasks } = await world.tasks.list({ workflow: "flow" }, acme);
  expect(tasks.map((task) => task.id)).toEqual([id]);
});

test("with the latest revision, results of nodes that went or are of another kind are left out", async () => {
  const id = await failedTask();
  await put([node("a"), node("c", ["a"]), { id: "d", kind: "signal" }, node("e", ["c"]), each("signal")]);
  const { task } = await world.tasks.retry({ id, revision: RetryRevision.LATEST }, acme);
  expect(task?.revision).toBe(2);
  expect(await keptBy(task?.id)).toEqual(["a", "c", "each[0]"]);
  const from = await world.tasks.retry({ id, revision: RetryRevision.LATEST, from: "c" }, acme);
  expect(await keptBy(from.task?.id)).toEqual(["a", "each[0]"]);
  expect((await world.tasks.retry({ id, revision: RetryRevision.SAME }, acme)).task?.revision).toBe(1);
});

test("an input that does not fit the latest revision is refused", async () => {
  const id = await failedTask();
  await put(first, { input: { type: "object", required: ["m"] } });
  await expect(world.tasks.retry({ id, revision: RetryRevision.LATEST }, acme)).rejects.toMatchObject({ code: "invalid_input" });
});

test("one key is one retry: the same again is a replay, another way is refused", async () => {
  const id = await failedTask();
  const made = await world.tasks.retry({ id, requestId: "k", from: "b" }, acme);
  const again = await world.tasks.retry({ id, requestId: "k", from: "b" }, acme);
  expect([again.task?.id, again.replayed]).toEqual([made.task?.id, true]);
  await expect(world.tasks.retry({ id, requestId: "k" }, acme)).rejects.toMatchObject({ code: "idempotency_mismatch" });
});
