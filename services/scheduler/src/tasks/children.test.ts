import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { maxDepth } from "@longhaul/core";
import { NodeReportSchema, TaskReportSchema } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { afterEach, expect, test } from "vitest";
import {
  acme,
  freshId,
  jsonOf,
  progress,
  type StartedScheduler,
  settle,
  startScheduler,
  success,
} from "../testing/start-scheduler.ts";

let world: StartedScheduler;
afterEach(async () => {
  await world.stop();
});

async function parent(): Promise<string> {
  world = await startScheduler();
  await settle();
  const id = await world.accepted({ priority: 7 });
  await world.claim(id);
  return id;
}

const hold = (taskId: string, attempt = 1) => ({ taskId, attempt, project: "acme" });
const startChild = (
  id: string,
  more: { readonly taskId?: string; readonly awaited?: boolean; readonly executor?: string } = {},
) =>
  world.execution
    .startChild({
      hold: hold(id),
      executor: more.executor ?? "executor-1",
      node: "a",
      workflow: "echo",
      inputJson: jsonOf({ n: 2 }),
      awaited: more.awaited ?? true,
      taskId: more.taskId ?? freshId(),
      labels: { of: "a" },
    })
    .then(({ taskId }) => taskId);
const failure = create(TaskReportSchema, {
  outcome: { case: "failure", value: { error: { code: "node_failed", message: "It broke.", retryable: false } } },
}).outcome;

test("a child belongs to its parent, and the parent says so before it is there", async () => {
  const id = await parent();
  const child = await startChild(id);
  expect(await world.task(child)).toMatchObject({
    parent: { id, node: "a", awaited: true },
    depth: 1,
    workflow: "echo",
    priority: 7,
    labels: { of: "a" },
    deadline: (await world.task(id)).deadline,
  });
  expect(await world.task(id)).toMatchObject({ children: true });
  const { task } = await world.tasks.get({ id: child }, acme);
  expect(task?.parent).toMatchObject({ id, node: "a", awaited: true });
});

test("the same call again starts nothing more; an id of another task is refused", async () => {
  const id = await parent();
  const taskId = freshId();
  const answers = await Promise.all([startChild(id, { taskId }), startChild(id, { taskId }), startChild(id, { taskId })]);
  expect(answers).toEqual([taskId, taskId, taskId]);
  expect(await world.stores.tasks.listChildren("acme", id, 10)).toHaveLength(1);
  const stranger = await world.accepted();
  await expect(startChild(id, { taskId: stranger })).rejects.toMatchObject({ code: "invalid_argument" });
});

test("who does not hold the task starts nothing", async () => {
  const id = await parent();
  await expect(startChild(id, { executor: "executor-2" })).rejects.toMatchObject({ code: "precondition_failed" });
  await world.tasks.cancel({ id }, acme);
  await expect(startChild(id)).rejects.toMatchObject({ code: "precondition_failed" });
  expect(await world.stores.tasks.listChildren("acme", id, 10)).toEqual([]);
});

test("tasks stand on each other up to a bound", async () => {
  let id = await parent();
  for (let depth = 1; depth <= maxDepth; depth++) {
    const child = await startChild(id);
    await settle();
    expect(await world.claim(child)).toBe(true);
    id = child;
  }
  await expect(startChild(id)).rejects.toMatchObject({ code: "invalid_argument" });
});

test("how an awaited child ends arrives at its parent once, output or error", async () => {
  const id = await parent();
  const [good, large, bad] = [await startChild(id), await startChild(id), await startChild(id)];
  for (const child of [good, large, bad]) await world.claim(child);
  await world.report(good, { outcome: success({ ok: true }) });
  await settle();
  expect((await world.task(id)).inbox).toMatchObject([{ node: "a", by: good, payload: { json: '{"ok":true}' } }]);
  expect((await world.task(good)).owes).toEqual([]);

  const done = create(NodeReportSchema, { path: "a", kind: "workflow", state: NodeState.RUNNING, startTime: timestampFromMs(1) });
  await world.report(id, { nodes: [done], consumed: [1n], outcome: progress });
  await world.report(large, { outcome: success("x".repeat(20_000)) });
  await settle();
  const [arrival] = (await world.task(id)).inbox ?? [];
  expect(arrival?.payload).toMatchObject({ kind: "stored", key: `${id}/arrivals/${large}` });
  await world.report(id, { number: 2, consumed: [2n], outcome: progress });
  await world.report(bad, { outcome: failure });
  await settle();
  expect((await world.task(id)).inbox).toMatchObject([{ by: bad, error: { code: "node_failed", message: "It broke." } }]);
});

test("the outcome reaches a parent that waits and brings it back", async () => {
  const id = await parent();
  const child = await startChild(id);
  const wait = { kind: "child", node: "a", reason: "It waits for a task.", since: timestampFromMs(Date.now()) };
  const outcome = create(TaskReportSchema, { outcome: { case: "wait", value: { waits: [wait], waitCount: 1 } } }).outcome;
  await world.report(id, { outcome });
  expect((await world.task(id)).state).toBe("waiting");
  await world.claim(child);
  await world.report(child, { outcome: success(1) });
  await settle();
  expect((await world.task(id)).state).toBe("queued");
});

test("what could not be brought to the parent is owed until it can", async () => {
  const id = await parent();
  const child = await startChild(id);
  await world.claim(child);
  const { getNodeRuns } = world.stores.tasks;
  Object.assign(world.stores.tasks, { getNodeRuns: () => Promise.reject(new Error("not now")) });
  await world.report(child, { outcome: success(1) });
  await settle();
  Object.assign(world.stores.tasks, { getNodeRuns });
  expect((await world.task(child)).owes).toMatchObject([{ key: "parent", failures: 1 }]);
  expect((await world.task(id)).inbox).toBeUndefined();
  expect(world.logged).toMatchObject([{ fields: { debt: "parent" } }]);
});

test("an ended parent takes its awaited children with it, pages of them, and leaves the others", async () => {
  const id = await parent();
  const awaited: string[] = [];
  for (let i = 0; i < 205; i++) awaited.push(await startChild(id));
  const free = await startChild(id, { awaited: false });
  await world.tasks.cancel({ id }, acme);
  await settle();
  await settle();
  const states = await Promise.all(awaited.map(async (child) => (await world.task(child)).state));
  expect(new Set(states)).toEqual(new Set(["cancelled"]));
  expect((await world.task(free)).state).toBe("queued");
  expect((await world.task(id)).owes).toEqual([]);
});
