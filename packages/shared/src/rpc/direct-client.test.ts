import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { TaskSchema } from "@longhaul/proto/task";
import { TaskService, TaskServiceGetResponseSchema } from "@longhaul/proto/task_service";
import { expect, test } from "vitest";
import { aborted } from "../lifecycle/run-parts.ts";
import { type LogFields, silentLogger } from "../log/logger.ts";
import { type DirectOptions, directClient } from "./direct-client.ts";
import { checkMessageSize } from "./message-size.ts";
import { onwardCall, projectHeader, projectOf } from "./metadata.ts";

const direct = (impl: Partial<ServiceImpl<typeof TaskService>>, options?: DirectOptions) =>
  directClient(TaskService, impl, options);

test("a call reaches the implementation as a whole message and answers one, without copying", async () => {
  const task = create(TaskSchema, { id: "t1" });
  const seen: unknown[] = [];
  const client = direct({
    get(request) {
      seen.push(request.$typeName, request.ifNoneMatch);
      return { task };
    },
  });
  const answer = await client.get({ id: "t1" });
  expect(answer.$typeName).toBe(TaskServiceGetResponseSchema.typeName);
  expect(answer.task).toBe(task);
  expect(seen).toEqual(["longhaul.v1.TaskServiceGetRequest", 0n]);
});

test("an implementation that is an object keeps its this", async () => {
  class Impl {
    readonly id = "mine";
    get() {
      return { task: { id: this.id } };
    }
  }
  expect((await direct(new Impl()).get({})).task?.id).toBe("mine");
});

test("errors come as over a wire: LonghaulError as thrown, others by code, the unexpected logged and bare", async () => {
  const lines: LogFields[] = [];
  const log = { ...silentLogger, error: (fields: LogFields) => void lines.push(fields) };
  const throwing = (error: unknown) =>
    direct(
      {
        get() {
          throw error;
        },
      },
      { log },
    ).get({});
  await expect(throwing(new LonghaulError("conflict", "no"))).rejects.toMatchObject({ code: "conflict", message: "no" });
  await expect(throwing(new ConnectError("gone", Code.NotFound))).rejects.toMatchObject({
    name: "LonghaulError",
    code: "not_found",
  });
  expect(lines).toEqual([]);
  await expect(throwing(new TypeError("secret"))).rejects.toMatchObject({ code: "internal", message: "internal error" });
  expect(lines).toMatchObject([{ method: "longhaul.v1.TaskService/Get", err: { message: "secret" } }]);
  await expect(direct({}).get({})).rejects.toMatchObject({ code: "internal" });
});

test("a deadline rejects the caller and aborts the handler, even one that hangs", async () => {
  let handlerSaw: Promise<void> | undefined;
  const client = direct(
    {
      get(_request, context) {
        expect(context.timeoutMs()).toBeLessThanOrEqual(10);
        handlerSaw = aborted(context.signal);
        return new Promise(() => {});
      },
    },
    { timeoutMs: 10 },
  );
  await expect(client.get({})).rejects.toMatchObject({ code: "deadline_exceeded" });
  await handlerSaw;
});

test("the caller's signal cancels, before and during a call", async () => {
  let calls = 0;
  const stop = new AbortController();
  const client = direct({
    get(_request, { signal }) {
      calls++;
      stop.abort();
      expect(signal.aborted).toBe(true);
      return new Promise(() => {});
    },
  });
  await expect(client.get({}, { signal: stop.signal })).rejects.toMatchObject({ code: "cancelled" });
  await expect(client.get({}, { signal: stop.signal })).rejects.toMatchObject({ code: "cancelled" });
  expect(calls).toBe(1);
});

test("the signal of a call that is over is aborted, so that nothing started for it goes on", async () => {
  let signal: AbortSignal | undefined;
  const client = direct({
    get(_request, context) {
      signal = context.signal;
      return {};
    },
  });
  await client.get({});
  expect(signal?.aborted).toBe(true);
});

test("headers and the project go along, and on to the next service", async () => {
  const inner = direct({ get: (_request, context) => ({ task: { id: projectOf(context) } }) });
  const outer = direct({ get: (request, context) => inner.get(request, onwardCall(context)) });
  const got: (string | null)[] = [];
  const answer = await outer.get(
    {},
    { headers: { [projectHeader]: "acme" }, onHeader: (headers) => got.push(headers.get("x-none")) },
  );
  expect(answer.task?.id).toBe("acme");
  expect(got).toEqual([null]);
});

test("messages larger than allowed are refused either way", async () => {
  const client = direct({ get: ({ id }) => ({ task: { id: id === "big" ? "x".repeat(2_000) : id } }) }, { maxBytes: 1_000 });
  expect((await client.get({ id: "small" })).task?.id).toBe("small");
  await expect(client.get({ id: "big" })).rejects.toMatchObject({ code: "too_large" });
  await expect(client.get({ id: "x".repeat(1_001) })).rejects.toMatchObject({ code: "too_large" });
});

test("the size of a message counts UTF-8 bytes, lists, maps and bytes", () => {
  const check = (message: Parameters<typeof create<typeof TaskSchema>>[1], max: number) => () =>
    checkMessageSize(create(TaskSchema, message), max);
  expect(check({ id: "é".repeat(600) }, 1_100)).toThrow(/larger than 1100 bytes/);
  expect(check({ id: "e".repeat(600) }, 1_100)).not.toThrow();
  expect(check({ labels: { a: "x".repeat(300) } }, 300)).toThrow();
  expect(
    check(
      {
        input: {
          kind: {
            case: "listValue",
            value: { values: Array.from({ length: 500 }, () => ({ kind: { case: "boolValue", value: true } })) },
          },
        },
      },
      600,
    ),
  ).toThrow();
});

test("a stream answers in order and ends", async () => {
  const client = direct({
    async *watch() {
      yield { id: "1" };
      yield { id: "2" };
    },
  });
  const ids: string[] = [];
  for await (const event of client.watch({})) ids.push(event.id);
  expect(ids).toEqual(["1", "2"]);
});

test("a reader that leaves a stream ends its handler", async () => {
  let signal: AbortSignal | undefined;
  let cleaned = (): void => {};
  const clean = new Promise<void>((resolve) => {
    cleaned = resolve;
  });
  const client = direct({
    async *watch(_request, context) {
      signal = context.signal;
      try {
        for (;;) yield { id: "1" };
      } finally {
        cleaned();
      }
    },
  });
  for await (const _event of client.watch({})) break;
  await clean;
  expect(signal?.aborted).toBe(true);
});

test("a stream that waits is cancelled by its reader's signal, and its errors are mapped", async () => {
  const stop = new AbortController();
  const waiting = direct({
    async *watch(_request, { signal }) {
      yield { id: "1" };
      await aborted(signal);
      throw new Error("late");
    },
  })
    .watch({}, { signal: stop.signal })
    [Symbol.asyncIterator]();
  await waiting.next();
  const next = waiting.next();
  stop.abort();
  await expect(next).rejects.toMatchObject({ code: "cancelled" });
  const failing = direct({
    // biome-ignore lint/correctness/useYield: it fails before its first event
    async *watch() {
      throw new LonghaulError("task_not_found", "none");
    },
  })
    .watch({})
    [Symbol.asyncIterator]();
  await expect(failing.next()).rejects.toMatchObject({ code: "task_not_found" });
});
