import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Live, NodeRun } from "@longhaul/core";
import { NodeReportSchema } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import type { TaskServiceWatchResponse } from "@longhaul/proto/task_service";
import { afterEach, expect, test, vi } from "vitest";
import { acme, progress, type StartedScheduler, type StartOptions, startScheduler, success } from "../testing/start-scheduler.ts";

let world: StartedScheduler;
const watching: AbortController[] = [];
afterEach(async () => {
  for (const each of watching.splice(0)) each.abort();
  vi.useRealTimers();
  await world.stop();
});
async function begin(options: StartOptions = {}): Promise<void> {
  world = await startScheduler(options);
}

const node = (path: string, output: unknown, state: NodeState = NodeState.SUCCEEDED) =>
  create(NodeReportSchema, {
    path,
    kind: "transform",
    state,
    outputJson: Buffer.from(JSON.stringify(output)),
    startTime: timestampFromMs(1_000),
    tries: 1,
  });

/** A watcher that is read one event at a time, as `kind id what`. */
function watch(id: string, lastEventId = "") {
  const abort = new AbortController();
  watching.push(abort);
  const stream = world.tasks.watch({ id, lastEventId }, { ...acme, signal: abort.signal })[Symbol.asyncIterator]();
  const line = ({ id: at, event }: TaskServiceWatchResponse): string => {
    switch (event.case) {
      case "task":
      case "end":
        return `${event.case} ${at} ${event.value.state}`;
      case "node":
        return `node ${at} ${event.value.path}`;
      default:
        return `${event.case} ${at}`;
    }
  };
  return {
    abort,
    next: async (): Promise<string> => {
      const { value, done } = await stream.next();
      return done === true ? "done" : line(value);
    },
    rest: async (): Promise<string[]> => {
      const lines: string[] = [];
      for (;;) {
        const { value, done } = await stream.next();
        if (done === true) return lines;
        lines.push(line(value));
      }
    },
  };
}

async function claimed(): Promise<string> {
  const id = await world.accepted();
  await world.claim(id);
  return id;
}

test("a watcher has the snapshot, then every change, and the end ends the stream", async () => {
  await begin();
  const id = await world.accepted();
  const watcher = watch(id);
  expect(await watcher.next()).toBe("task 1.0.0 1");
  await world.claim(id);
  expect(await watcher.next()).toBe("task 2.1.0 2");
  await world.report(id, { nodes: [node("a", 1), node("b", 2)], outcome: progress });
  expect([await watcher.next(), await watcher.next()]).toEqual(["node 2.1.0 a", "node 2.1.1 b"]);
  await world.report(id, { number: 2, nodes: [node("c", 3)], outcome: success(1) });
  expect(await watcher.rest()).toEqual(["node 2.1.2 c", "end 3.1.2 4"]);
});

test("whoever watches what has ended is told so at once", async () => {
  await begin();
  const id = await claimed();
  await world.report(id, { nodes: [node("a", 1)], outcome: success(1) });
  expect(await watch(id).rest()).toEqual(["node 0.1.1 a", "end 3.1.1 4"]);
});

test("a stream taken up at any of its ids brings exactly what came after it", async () => {
  await begin();
  const id = await claimed();
  await world.report(id, { nodes: [node("a", 1), node("b", 2)], outcome: progress });
  await world.report(id, { number: 2, nodes: [node("c", 3)], outcome: progress });
  await world.execution.release({ executor: "executor-1", holds: [{ taskId: id, attempt: 1, project: "acme" }] });
  await expect.poll(() => world.claim(id, 1, "executor-2")).toBe(true);
  await world.report(id, { attempt: 2, nodes: [node("d", 4)], outcome: success(1) }, "executor-2");
  const end = (await world.task(id)).version;

  expect(await watch(id, "2.1.0").rest()).toEqual([
    "node 2.1.0 a",
    "node 2.1.1 b",
    "node 2.1.2 c",
    "node 2.2.1 d",
    `end ${end}.2.1 4`,
  ]);
  expect(await watch(id, "2.1.1").rest()).toEqual(["node 2.1.2 c", "node 2.2.1 d", `end ${end}.2.1 4`]);
  expect(await watch(id, "2.1.2").rest()).toEqual(["node 2.2.1 d", `end ${end}.2.1 4`]);
  expect(await watch(id, "2.2.1").rest()).toEqual([`end ${end}.2.1 4`]);
});

test("runs of a report that is not counted by its header yet come with it, whole", async () => {
  await begin();
  const id = await claimed();
  await world.report(id, { nodes: [node("a", 1)], outcome: progress });
  // As on MongoDB in the middle of a report: one of its two runs is there, the header is not.
  const run: NodeRun = {
    taskId: id,
    project: "acme",
    path: "b",
    kind: "transform",
    state: "succeeded",
    attempt: 1,
    report: 2,
    startTime: 1,
    tries: 1,
  };
  await world.stores.tasks.putNodeRuns([run]);
  const watcher = watch(id);
  expect([await watcher.next(), await watcher.next()]).toEqual(["node 0.1.1 a", "task 2.1.1 2"]);
  await world.report(id, { number: 2, nodes: [node("b", 2), node("c", 3)], outcome: progress });
  expect([await watcher.next(), await watcher.next()]).toEqual(["node 2.1.1 b", "node 2.1.2 c"]);
});

test("more runs than a page come in their order, none twice", async () => {
  await begin();
  const id = await claimed();
  const paths = Array.from({ length: 250 }, (_, i) => `n${String(i).padStart(3, "0")}`);
  await world.report(id, { nodes: paths.map((path) => node(path, 1)), outcome: success(1) });
  const lines = await watch(id).rest();
  expect(lines.slice(0, -1).map((line) => line.split(" ")[2])).toEqual(paths);
  // Nothing can be taken up in the middle of a report: the stream has an id once the last of it is through.
  expect(new Set(lines.slice(0, 249).map((line) => line.split(" ")[1]))).toEqual(new Set([""]));
  expect(lines[249]).toBe("node 0.1.1 n249");
  expect(lines.at(-1)).toBe("end 3.1.1 4");
});

test("every id that a stream writes can be taken up", async () => {
  await begin();
  const id = await claimed();
  await world.report(id, { nodes: [node("a", 1), node("b", 2)], outcome: progress });
  await world.report(id, { number: 2, nodes: [node("c", 3), node("d", 4)], outcome: success(1) });
  const lines = await watch(id).rest();
  expect(lines).toEqual(["node  a", "node 0.1.1 b", "node 0.1.1 c", "node 0.1.2 d", "end 3.1.2 4"]);
  expect(await watch(id, "0.1.1").rest()).toEqual(lines.slice(2));
  expect(await watch(id, "0.1.2").rest()).toEqual(lines.slice(4));
  expect(await watch(id, "3.1.2").rest()).toEqual(lines.slice(4));
});

test("a slow reader gets fewer and newer snapshots, and nothing is kept for it", async () => {
  await begin();
  const id = await world.accepted();
  const watcher = watch(id);
  await watcher.next();
  for (let attempt = 0; attempt < 5; attempt++) {
    await expect.poll(() => world.claim(id, attempt)).toBe(true);
    await world.execution.release({ executor: "executor-1", holds: [{ taskId: id, attempt: attempt + 1, project: "acme" }] });
  }
  await world.tasks.cancel({ id }, acme);
  const rest = await watcher.rest();
  expect(rest.at(-1)).toMatch(/^end .* 6$/);
  expect(rest.length).toBeLessThan(4);
});

test("progress is passed on without an id; noise on the subject is not", async () => {
  await begin();
  const id = await claimed();
  const { partition } = await world.task(id);
  const watcher = watch(id);
  expect(await watcher.next()).toBe("task 2.1.0 2");
  const said = watcher.next();
  await expect
    .poll(async () => {
      for (const noise of [null, 1, {}, { node: 7, delta: 1 }, { node: "a" }])
        world.live.publish(`task.${partition}.${id}`, noise);
      world.live.publish(`task.${partition}.${id}`, { node: "a", delta: { text: "hel" } });
      return Promise.race([said, new Promise((resolve) => setImmediate(() => resolve("nothing yet")))]);
    })
    .toBe("progress ");
});

test("an id that this stream never wrote, and a task that is not there, are refused", async () => {
  await begin();
  const id = await world.accepted();
  for (const bad of ["x", "1.2", "1.2.3.4", "-1.0.0", "1.0.0 ", "9".repeat(40)]) {
    await expect(watch(id, bad).next()).rejects.toMatchObject({
      code: "invalid_argument",
      faults: [{ pointer: "/lastEventId" }],
    });
  }
  for (const nothing of ["01930000-0000-7000-8000-ffffffffffff", "*", "a.b.>", ""]) {
    await expect(watch(nothing).next()).rejects.toMatchObject({ code: "task_not_found" });
  }
  const foreign = world.tasks.watch({ id }, { headers: { "longhaul-project": "other" } })[Symbol.asyncIterator]();
  await expect(foreign.next()).rejects.toMatchObject({ code: "task_not_found" });
});

test("a long poll waits for the end, or for another version, and no longer than it was told", async () => {
  await begin();
  const id = await world.accepted();
  const wait = durationFromMs(20_000);
  const changed = world.tasks.get({ id, ifNoneMatch: 1n, wait }, acme);
  const ended = world.tasks.get({ id, wait }, acme);
  await world.claim(id);
  expect((await changed).task).toMatchObject({ version: 2n });
  await world.report(id, { outcome: success(7) });
  expect((await ended).task).toMatchObject({ version: 3n, state: 4 });
  expect(await world.tasks.get({ id, ifNoneMatch: 3n, wait: durationFromMs(30) }, acme)).toMatchObject({ unchanged: true });
  // It can't change any more: nobody is kept waiting for it.
  expect((await world.tasks.get({ id, ifNoneMatch: 3n, wait }, acme)).unchanged).toBe(true);
  expect((await world.tasks.get({ id, ifNoneMatch: 2n, wait }, acme)).task?.version).toBe(3n);
});

test("a long poll whose bells are all lost still sees the change", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  const deaf: Live = {
    publish: () => {},
    subscribe: () => ({ ready: Promise.resolve(), close: () => {} }),
    onGap: () => () => {},
  };
  await begin({ live: deaf });
  const id = await world.accepted();
  const polled = world.tasks.get({ id, wait: durationFromMs(30_000) }, acme);
  await world.tasks.cancel({ id }, acme);
  await vi.advanceTimersByTimeAsync(5_000);
  expect((await polled).task?.state).toBe(6);
});

test("submit with wait answers the task once it has ended", async () => {
  await begin();
  const answered = world.tasks.submit({ workflow: "echo", wait: durationFromMs(20_000), requestId: "k" }, acme);
  await expect.poll(() => world.tickets.length).toBe(1);
  const id = world.tickets[0]?.taskId ?? "";
  await world.claim(id);
  await world.report(id, { outcome: success({ n: 1 }) });
  expect(await answered).toMatchObject({ replayed: false, task: { id, state: 4 } });
  expect(await world.tasks.submit({ workflow: "echo", requestId: "k" }, acme)).toMatchObject({ replayed: true, task: { id } });
});
