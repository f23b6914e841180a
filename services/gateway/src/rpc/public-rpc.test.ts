import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { LonghaulError } from "@longhaul/core";
import { ConnectionService } from "@longhaul/proto/connection_service";
import { DeliveryService } from "@longhaul/proto/delivery_service";
import { ExecutionService } from "@longhaul/proto/execution_service";
import { Health } from "@longhaul/proto/grpc/health/v1/health_pb";
import { ServerReflection } from "@longhaul/proto/grpc/reflection/v1/reflection_pb";
import { IntakeService } from "@longhaul/proto/intake_service";
import { LimitService } from "@longhaul/proto/limit_service";
import { NotifierService } from "@longhaul/proto/notifier_service";
import { SecretService } from "@longhaul/proto/secret_service";
import { TaskState } from "@longhaul/proto/task";
import { TaskService, TaskServiceSubmitRequestSchema, TaskServiceSubmitResponseSchema } from "@longhaul/proto/task_service";
import { WorkflowService } from "@longhaul/proto/workflow_service";
import { fromConnectError, valueFromJson } from "@longhaul/shared";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type StartedGateway, startGateway } from "../testing/start-gateway.ts";

let gateway: StartedGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => {
  expect(gateway.errors).toEqual([]);
  await gateway[Symbol.asyncDispose]();
});

const transports: Record<string, () => Transport> = {
  "Connect over HTTP/1.1": () => createConnectTransport({ httpVersion: "1.1", baseUrl: gateway.url }),
  "Connect over HTTP/2": () => createConnectTransport({ httpVersion: "2", baseUrl: gateway.url }),
  "Connect with JSON": () => createConnectTransport({ httpVersion: "1.1", baseUrl: gateway.url, useBinaryFormat: false }),
  "gRPC-Web over HTTP/1.1": () => createGrpcWebTransport({ httpVersion: "1.1", baseUrl: gateway.url }),
  "gRPC-Web over HTTP/2": () => createGrpcWebTransport({ httpVersion: "2", baseUrl: gateway.url }),
  gRPC: () => createGrpcTransport({ baseUrl: gateway.url }),
};

describe.each(Object.entries(transports))("%s", (_, open) => {
  test("submits, reads, lists, watches and ends a task", async () => {
    const tasks = createClient(TaskService, open());
    const { task, replayed } = await tasks.submit({
      workflow: "echo",
      input: valueFromJson({ n: [1, null] }),
      labels: { a: "b" },
    });
    expect(replayed).toBe(false);
    expect(task).toMatchObject({ state: TaskState.QUEUED, labels: { a: "b" }, version: 1n });
    expect(task?.input).toEqual(valueFromJson({ n: [1, null] }));
    const id = task?.id ?? "";
    expect((await tasks.get({ id, ifNoneMatch: 1n })).unchanged).toBe(true);
    expect((await tasks.get({ id })).task?.id).toBe(id);
    expect((await tasks.list({ state: [TaskState.QUEUED] })).tasks.length).toBeGreaterThan(0);
    const events: (string | undefined)[] = [];
    for await (const { event } of tasks.watch({ id })) events.push(event.case);
    expect(events).toEqual(["task", "node", "progress", "end"]);
    expect((await tasks.listNodeRuns({ taskId: id })).nodes).toHaveLength(1);
    expect((await tasks.batchGet({ ids: [id, "x"] })).missing).toEqual(["x"]);
    expect((await tasks.batchCancel({ ids: [id] })).tasks).toHaveLength(1);
    expect((await tasks.cancel({ id })).task?.state).toBe(TaskState.CANCELLED);
    expect((await tasks.retry({ id }, { headers: { "idempotency-key": "again" } })).replayed).toBe(true);
  });

  test("errors keep their code and details", async () => {
    const tasks = createClient(TaskService, open());
    const missing = await tasks.get({ id: "none" }).catch((error: unknown) => error);
    expect(ConnectError.from(missing).code).toBe(Code.NotFound);
    expect(fromConnectError(missing)).toMatchObject({ code: "task_not_found" });
    const picky = await tasks.submit({ workflow: "picky" }).catch((error: unknown) => error);
    expect(fromConnectError(picky)).toMatchObject({
      code: "invalid_input",
      faults: [{ pointer: "/input/url", message: "is required" }],
    });
    const empty = await tasks.submit({}).catch((error: unknown) => error);
    expect(fromConnectError(empty)).toMatchObject({ code: "invalid_argument" });
  });

  test("deliveries and workflows are served, internal services are not", async () => {
    const transport = open();
    expect((await createClient(DeliveryService, transport).list({ taskId: "t" })).deliveries).toHaveLength(1);
    const workflows = createClient(WorkflowService, transport);
    expect((await workflows.put({ name: "w", definition: { nodes: [] } })).workflow?.definition).toEqual({ nodes: [] });
    expect((await workflows.validate({ definition: {}, input: valueFromJson({ n: 1 }) })).valid).toBe(false);
    expect((await workflows.diff({ name: "w", from: 1, to: 2 })).same).toBe(true);
    expect((await workflows.importDify({ text: "kind: app" })).definition).toEqual({ name: "imported", nodes: [] });
    await expect(createClient(IntakeService, transport).submitMany({ items: [] })).rejects.toThrow(ConnectError);
    await expect(createClient(ExecutionService, transport).claim({})).rejects.toThrow(ConnectError);
    await expect(createClient(NotifierService, transport).accept({})).rejects.toThrow(ConnectError);
  });

  test("secrets and connections are served", async () => {
    const secrets = createClient(SecretService, open());
    const { secret } = await secrets.put({ name: "KEY", value: "s3cr3t-value", description: "of a server" });
    expect(secret).toMatchObject({ name: "KEY", description: "of a server" });
    expect((await secrets.list({})).secrets).toEqual([secret]);
    await secrets.delete({ name: "KEY" });
    expect(ConnectError.from(await secrets.delete({ name: "KEY" }).catch((error: unknown) => error)).code).toBe(Code.NotFound);
    const connections = createClient(ConnectionService, open());
    const { connection } = await connections.put({ connection: { name: "default", baseUrl: "http://m.test", apiKey: "sk-1" } });
    expect(connection).toMatchObject({ name: "default", apiKey: "", hasApiKey: true });
  });

  test("limits are served", async () => {
    const limits = createClient(LimitService, open());
    const { limit } = await limits.put({ key: "workflow:echo", concurrency: 3 });
    expect(limit).toMatchObject({ key: "workflow:echo", concurrency: 3, source: "managed" });
    expect((await limits.get({ key: "workflow:echo" })).limit).toEqual(limit);
    expect((await limits.list({})).limits).toEqual([limit]);
    await limits.delete({ key: "workflow:echo" });
    expect((await limits.list({})).limits).toEqual([]);
  });

  test("health is answered", async () => {
    expect((await createClient(Health, open()).check({ service: "longhaul.v1.TaskService" })).status).toBe(1);
  });
});

test("a call to an internal service is a plain 404", async () => {
  const res = await fetch(`${gateway.url}/longhaul.v1.IntakeService/SubmitMany`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect([res.status, res.headers.get("content-type")]).toEqual([404, "application/problem+json"]);
  const unimplemented = createClient(IntakeService, createGrpcTransport({ baseUrl: gateway.url })).submitMany({ items: [] });
  await expect(unimplemented).rejects.toMatchObject({ code: Code.Unimplemented });
});

test("reflection names the public services and no other", async () => {
  const reflection = createClient(ServerReflection, createGrpcTransport({ baseUrl: gateway.url }));
  const names: string[] = [];
  async function* ask() {
    yield { messageRequest: { case: "listServices" as const, value: "" } };
  }
  for await (const { messageResponse } of reflection.serverReflectionInfo(ask())) {
    if (messageResponse.case === "listServicesResponse") names.push(...messageResponse.value.service.map((one) => one.name));
  }
  expect(names.filter((name) => name.startsWith("longhaul."))).toEqual([
    "longhaul.v1.TaskService",
    "longhaul.v1.WorkflowService",
    "longhaul.v1.WorkerService",
    "longhaul.v1.ScheduleService",
    "longhaul.v1.SecretService",
    "longhaul.v1.ConnectionService",
    "longhaul.v1.LimitService",
    "longhaul.v1.DeliveryService",
  ]);
});

test("the idempotency key of metadata and the field request_id mean the same; encoding order does not matter", async () => {
  const tasks = createClient(TaskService, createGrpcTransport({ baseUrl: gateway.url }));
  const first = await tasks.submit({
    workflow: "echo",
    input: valueFromJson({ a: 1, b: 2 }),
    labels: { x: "1", y: "2" },
    requestId: "g1",
  });
  const same = await tasks.submit(
    { workflow: "echo", input: valueFromJson({ b: 2, a: 1 }), labels: { y: "2", x: "1" }, wait: durationFromMs(1) },
    { headers: { "idempotency-key": '"g1"' } },
  );
  expect(same).toMatchObject({ replayed: true, task: { id: first.task?.id } });
  const other = await tasks
    .submit({ workflow: "echo", input: valueFromJson({ a: 1, b: 3 }), requestId: "g1" })
    .catch((error: unknown) => error);
  expect(ConnectError.from(other).code).toBe(Code.AlreadyExists);
  const torn = await tasks
    .submit({ workflow: "echo", requestId: "g1" }, { headers: { "idempotency-key": "g2" } })
    .catch((error: unknown) => error);
  expect(ConnectError.from(torn).code).toBe(Code.InvalidArgument);
});

test("a submit that waits is answered with the ended task", async () => {
  const { tasks: fake } = gateway.fake;
  const get = fake.get;
  fake.get = (request) => {
    const found = gateway.fake.stored.get(request.id);
    return found ? { task: { ...found, state: TaskState.SUCCEEDED } } : {};
  };
  try {
    const tasks = createClient(TaskService, createGrpcTransport({ baseUrl: gateway.url }));
    expect((await tasks.submit({ workflow: "echo", wait: durationFromMs(5_000) }, { timeoutMs: 5_000 })).task?.state).toBe(
      TaskState.SUCCEEDED,
    );
  } finally {
    if (get) fake.get = get;
  }
});

test("a caller's deadline is passed on, and honoured when the backend is slow", async () => {
  const { tasks: fake } = gateway.fake;
  const get = fake.get;
  let left: number | undefined;
  let wasAborted = false;
  fake.get = async (_request, { timeoutMs, signal }) => {
    left = timeoutMs();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    wasAborted = true;
    throw new LonghaulError("cancelled", "gone");
  };
  try {
    const tasks = createClient(TaskService, createGrpcTransport({ baseUrl: gateway.url }));
    await expect(tasks.get({ id: "x" }, { timeoutMs: 300 })).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(300);
    await expect.poll(() => wasAborted).toBe(true);
  } finally {
    if (get) fake.get = get;
  }
});

test("a message beyond the limit is refused", async () => {
  const tasks = createClient(TaskService, createGrpcTransport({ baseUrl: gateway.url }));
  await expect(tasks.submit({ workflow: "echo", input: valueFromJson("x".repeat(1_200_000)) })).rejects.toMatchObject({
    code: Code.ResourceExhausted,
  });
});

test("@grpc/grpc-js submits and reads", async () => {
  const client = new grpc.Client(`127.0.0.1:${gateway.port}`, grpc.credentials.createInsecure());
  try {
    const { task } = await new Promise<ReturnType<typeof decode>>((resolve, reject) => {
      client.makeUnaryRequest(
        "/longhaul.v1.TaskService/Submit",
        (message: Uint8Array) => Buffer.from(message),
        decode,
        toBinary(
          TaskServiceSubmitRequestSchema,
          create(TaskServiceSubmitRequestSchema, { workflow: "echo", input: valueFromJson(1) }),
        ),
        new grpc.Metadata(),
        { deadline: Date.now() + 10_000 },
        (error, value) => (value ? resolve(value) : reject(error)),
      );
    });
    expect(task?.state).toBe(TaskState.QUEUED);
  } finally {
    client.close();
  }
});

function decode(bytes: Buffer) {
  return fromBinary(TaskServiceSubmitResponseSchema, bytes);
}

test("with keys, calls need one; nobody chooses the project or the internal token", async () => {
  const key = "lh_0123456789abcdef";
  await using guarded = await startGateway({ config: { apiKeys: [{ project: "acme", key }] } });
  const transport = createGrpcTransport({ baseUrl: guarded.url });
  const tasks = createClient(TaskService, transport);
  await expect(tasks.submit({ workflow: "echo" })).rejects.toMatchObject({ code: Code.Unauthenticated });
  await expect(tasks.list({}, { headers: { "longhaul-project": "acme", "longhaul-internal-token": "x" } })).rejects.toMatchObject(
    { code: Code.Unauthenticated },
  );
  const headers = { authorization: `Bearer ${key}`, "longhaul-project": "victim" };
  expect((await tasks.submit({ workflow: "echo" }, { headers })).task?.project).toBe("acme");
  await tasks.list({}, { headers: { "x-api-key": key } });
  expect(guarded.fake.seen.at(-1)?.project).toBe("acme");
  expect((await createClient(Health, transport).check({})).status).toBe(1);
});
