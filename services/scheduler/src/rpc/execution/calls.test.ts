import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { TaskService } from "@longhaul/proto/task_service";
import { directClient, silentLogger } from "@longhaul/shared";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { callBook } from "../../calls/call-book.ts";
import { acme, type StartedScheduler, startScheduler, success } from "../../testing/start-scheduler.ts";

let self: StartedScheduler;
let taskId: string;
const stores = () => self.stores;
const executor = "executor-1";
const uuid = (n: number) => `${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;
const hold = (id = taskId, attempt = 1) => ({ taskId: id, attempt, project: "acme" });

async function put(limits: { concurrency?: number; requestsPerMinute?: number; tokensPerMinute?: number }): Promise<void> {
  const connections = directClient(ConnectionService, self.scheduler.services.connection, { log: silentLogger });
  await connections.put({ name: "models", connection: { name: "models", baseUrl: "http://m.test", ...limits } }, acme);
}
async function ask(n: number, more: { hold?: ReturnType<typeof hold>; estimatedTokens?: bigint } = {}) {
  const request = { hold: hold(), executor, connection: "models", callId: uuid(n), estimatedTokens: 10n, ...more };
  return (await self.execution.acquireCall(request)).answer;
}
const giveBack = (n: number, tokens?: bigint) =>
  self.execution.releaseCall({
    hold: hold(),
    connection: "models",
    callId: uuid(n),
    ...(tokens === undefined ? {} : { tokens }),
  });

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_700_000_000_000 });
  self = await startScheduler();
  await put({ concurrency: 2 });
  taskId = await self.accepted();
  expect(await self.claim(taskId)).toBe(true);
});
afterEach(async () => {
  await self.stop();
  vi.useRealTimers();
});

test("as many calls as the connection allows have a place; the next one is told which limit it is and when to ask again", async () => {
  const first = await ask(1);
  expect(first.case).toBe("place");
  expect(first.case === "place" && first.value.lease && durationMs(first.value.lease)).toBe(605_000);
  expect((await ask(2)).case).toBe("place");
  expect((await ask(2)).case).toBe("place");
  const third = await ask(3);
  expect(third).toMatchObject({ case: "delay", value: { reason: 'connection "models" allows 2 calls at a time' } });
  await giveBack(1, 5n);
  await giveBack(1, 5n);
  expect((await ask(3)).case).toBe("place");
  expect((await ask(4)).case).toBe("delay");
});

test("of many that come at once no more than allowed have a place, also with two schedulers on one store", async () => {
  const { tasks, resources } = stores();
  const deps = { resources, store: tasks, now: Date.now, leaseMs: 15_000 };
  const books = [callBook(deps), callBook(deps)];
  const asked = { taskId, attempt: 1, tokens: 1 };
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, n) => books[n % 2]?.acquire("acme", "models", { ...asked, callId: uuid(n) })),
  );
  expect(answers.filter((answer) => answer?.kind === "place")).toHaveLength(2);
});

test("what was taken outlives the scheduler that gave it", async () => {
  await ask(1);
  await ask(2);
  const { tasks, resources } = stores();
  const fresh = callBook({ resources, store: tasks, now: Date.now, leaseMs: 15_000 });
  const asked = { taskId, attempt: 1, tokens: 1, callId: uuid(3) };
  expect(await fresh.acquire("acme", "models", asked)).toMatchObject({ kind: "delay" });
});

test("a bound per minute holds for calls that have long ended", async () => {
  await put({ requestsPerMinute: 1 });
  expect((await ask(1)).case).toBe("place");
  await giveBack(1, 5n);
  const next = await ask(2);
  expect(next).toMatchObject({ case: "delay", value: { reason: 'connection "models" allows 1 call per minute' } });
  vi.setSystemTime(Date.now() + 61_000);
  expect((await ask(2)).case).toBe("place");
});

test("tokens are counted as estimated, then as they were", async () => {
  await put({ tokensPerMinute: 100 });
  expect((await ask(1, { estimatedTokens: 90n })).case).toBe("place");
  expect(await ask(2, { estimatedTokens: 20n })).toMatchObject({
    case: "delay",
    value: { reason: 'connection "models" allows 100 tokens per minute' },
  });
  await giveBack(1, 30n);
  expect((await ask(2, { estimatedTokens: 20n })).case).toBe("place");
});

describe("the place of a holder that died", () => {
  test("is free when its lease ends", async () => {
    await ask(1);
    await ask(2);
    vi.setSystemTime(Date.now() + 611_000);
    // The task is still held: its own lease is another matter.
    expect((await ask(3)).case).toBe("place");
  });

  test("is free at once when another attempt runs the task", async () => {
    const other = await self.accepted();
    expect(await self.claim(other)).toBe(true);
    await ask(1, { hold: hold(other) });
    await ask(2);
    await self.execution.release({ executor, holds: [hold(other)] });
    expect(await self.claim(other, 1)).toBe(true);
    expect((await ask(3)).case).toBe("place");
  });

  test("is free a task's lease after the task was cancelled, by when its executor has stopped, and at once when that says so", async () => {
    const other = await self.accepted();
    const third = await self.accepted();
    for (const id of [other, third]) expect(await self.claim(id)).toBe(true);
    await ask(1, { hold: hold(other) });
    await ask(2, { hold: hold(third) });
    const tasks = directClient(TaskService, self.scheduler.services.task);
    await tasks.cancel({ id: other }, acme);
    await tasks.cancel({ id: third }, acme);
    expect((await ask(3)).case).toBe("delay");
    await self.execution.releaseCall({ hold: hold(third), connection: "models", callId: uuid(2), tokens: 0n });
    expect((await ask(3)).case).toBe("place");
    expect((await ask(4)).case).toBe("delay");
    vi.setSystemTime(Date.now() + 15_001);
    expect((await ask(4)).case).toBe("place");
  });
});

test("nobody else gets a place: another attempt, another process, an ended task, a connection that is not there", async () => {
  const lost = { code: "precondition_failed" };
  await expect(ask(1, { hold: hold(taskId, 2) })).rejects.toMatchObject(lost);
  const request = { hold: hold(), connection: "models", callId: uuid(1) };
  await expect(self.execution.acquireCall({ ...request, executor: "executor-2" })).rejects.toMatchObject(lost);
  await expect(self.execution.acquireCall({ ...request, executor, connection: "none" })).rejects.toMatchObject({
    code: "not_found",
  });
  await expect(self.execution.acquireCall({ ...request, executor, callId: "x" })).rejects.toMatchObject({
    code: "invalid_argument",
  });
  await self.report(taskId, { outcome: success({}) });
  await expect(ask(1)).rejects.toMatchObject(lost);
});

test("a connection allows no more side by side than can be kept account of", async () => {
  await expect(put({ concurrency: 401 })).rejects.toMatchObject({
    code: "invalid_argument",
    faults: [{ pointer: "/concurrency" }],
  });
});
