import { connect } from "node:net";
import { create } from "@bufbuild/protobuf";
import { LonghaulError } from "@longhaul/core";
import { type Task, TaskSchema, TaskState } from "@longhaul/proto/task";
import type { TaskServiceWatchRequest } from "@longhaul/proto/task_service";
import { expect, test } from "vitest";
import { directClients, fakeBackends } from "../testing/fake-backends.ts";
import { startGateway } from "../testing/start-gateway.ts";

const json = { "content-type": "application/json" };

async function submit(url: string): Promise<string> {
  const res = await fetch(`${url}/v1/tasks`, { method: "POST", headers: json, body: '{"workflow":"echo","input":{"n":1}}' });
  const task: unknown = await res.json();
  return (task as { id: string }).id;
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

const task = (id: string): Task => create(TaskSchema, { id, project: "default", state: TaskState.RUNNING, version: 4n });

test("a stream names its events, gives ids to those that can be resumed, and ends after the terminal one", async () => {
  await using gateway = await startGateway();
  const id = await submit(gateway.url);
  const res = await fetch(`${gateway.url}/v1/tasks/${id}/events`);
  expect(res.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(res.headers.get("cache-control")).toBe("no-store");
  expect(res.headers.get("x-accel-buffering")).toBe("no");
  const [retry, first, second, third, fourth, rest] = (await res.text()).split("\n\n");
  expect(retry).toBe("retry: 2000");
  expect(first).toMatch(/^id: 1\.0\.0\nevent: task\ndata: \{.*"state":"queued","input":\{"n":1\}.*\}$/);
  expect(second).toMatch(/^id: 2\.1\.1\nevent: node\ndata: \{"path":"a","kind":"transform","state":"succeeded"/);
  expect(third).toBe('event: progress\ndata: {"node":"a","delta":"x\\ny"}');
  expect(fourth).toMatch(/^id: 3\.1\.2\nevent: end\ndata: \{.*"state":"succeeded"/);
  expect(rest).toBe("");
});

test("the last event id is passed on from header or query; nothing more to tell is 204", async () => {
  await using gateway = await startGateway();
  const id = await submit(gateway.url);
  await (await fetch(`${gateway.url}/v1/tasks/${id}/events`, { headers: { "last-event-id": "1.0.0" } })).text();
  expect(gateway.fake.seen.at(-1)?.request).toMatchObject({ lastEventId: "1.0.0" });
  const done = await fetch(`${gateway.url}/v1/tasks/${id}/events?lastEventId=9.9.9`);
  expect(done.status).toBe(204);
});

test("a refusal before the first event is a problem", async () => {
  await using gateway = await startGateway();
  const res = await fetch(`${gateway.url}/v1/tasks/none/events`);
  expect([res.status, res.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
});

test("a stream on which nothing happens opens by itself and sends comments", async () => {
  const fake = fakeBackends();
  fake.tasks.watch = async function* (_request, { signal }) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  await using gateway = await startGateway({ fake, events: { headAfterMs: 5, heartbeatMs: 5 } });
  const res = await fetch(`${gateway.url}/v1/tasks/x/events`);
  const reader = res.body?.getReader();
  let text = "";
  while (!text.includes(": still here\n\n: still here\n\n")) text += Buffer.from((await reader?.read())?.value ?? []).toString();
  expect(text).toMatch(/^retry: 2000\n\n(: still here\n\n)+$/);
  await reader?.cancel();
});

test("when the reader hangs up, the stream behind is called off at once", async () => {
  const fake = fakeBackends();
  const opened = deferred();
  const aborted = deferred();
  fake.tasks.watch = async function* (request: TaskServiceWatchRequest, { signal }) {
    signal.addEventListener("abort", aborted.resolve);
    yield { id: "4.1.1", event: { case: "task", value: task(request.id) } };
    opened.resolve();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  for (const clients of [undefined, directClients(fake)]) {
    await using gateway = await startGateway({ fake, ...(clients && { clients }) });
    const quit = new AbortController();
    const res = await fetch(`${gateway.url}/v1/tasks/x/events`, { signal: quit.signal });
    await res.body?.getReader().read();
    await opened.promise;
    quit.abort();
    await aborted.promise;
    expect(gateway.errors).toEqual([]);
  }
});

test("an error behind an open stream just ends it, without its text", async () => {
  const fake = fakeBackends();
  fake.tasks.watch = async function* (request) {
    yield { id: "4.1.1", event: { case: "task", value: task(request.id) } };
    throw new LonghaulError("unavailable", "the scheduler says goodbye");
  };
  await using gateway = await startGateway({ fake });
  const text = await (await fetch(`${gateway.url}/v1/tasks/x/events`)).text();
  expect(text).toMatch(/id: 4\.1\.1\nevent: task\n/);
  expect(text).toMatch(/: interrupted, connect again\n\n$/);
  expect(text).not.toContain("goodbye");
});

test("a slow reader stops the source instead of filling memory, and is cut off in the end", async () => {
  const fake = fakeBackends();
  let sent = 0;
  const ended = deferred();
  const big = "x".repeat(65_536);
  fake.tasks.watch = async function* (request) {
    try {
      for (;;) {
        sent++;
        yield { id: "4.1.1", event: { case: "task", value: create(TaskSchema, { id: request.id, workflow: big, version: 4n }) } };
      }
    } finally {
      ended.resolve();
    }
  };
  await using gateway = await startGateway({ fake, clients: directClients(fake), events: { stallMs: 300 } });
  const socket = connect(gateway.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("GET /v1/tasks/x/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  socket.pause();
  await ended.promise;
  // What the kernel's buffers took, not what a loop without end could make.
  expect(sent).toBeLessThan(1_000);
  socket.destroy();
});

test("a drain ends streams, so that their readers connect elsewhere", async () => {
  const fake = fakeBackends();
  fake.tasks.watch = async function* (request, { signal }) {
    yield { id: "4.1.1", event: { case: "task", value: task(request.id) } };
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  await using gateway = await startGateway({ fake });
  const res = await fetch(`${gateway.url}/v1/tasks/x/events`);
  const text = res.text();
  const drained = gateway.drain();
  expect(await text).toMatch(/interrupted, connect again/);
  await drained;
});
