import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GrpcClient, grpcClient } from "./src/grpc-clients.ts";
import { pythonWithStubs, runPython } from "./src/python-client.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const missing = "01900000-0000-7000-8000-000000000000";
const text = (value: unknown) => ({ kind: "stringValue", stringValue: value });
const struct = (fields: Readonly<Record<string, unknown>>) => ({ fields });
const echoDefinition = struct({
  name: text("echo"),
  nodes: {
    listValue: {
      values: [
        {
          structValue: struct({
            id: text("say"),
            kind: text("transform"),
            with: { structValue: struct({ said: text("${ input }") }) },
          }),
        },
      ],
    },
  },
  output: text("${ nodes.say.said }"),
});

const difyApp = `
kind: app
version: 0.5.0
app: { name: Hello, mode: workflow }
workflow:
  graph:
    nodes:
      - { id: "1", data: { type: start, title: Start, variables: [{ variable: who, type: text-input, required: true }] } }
      - { id: "2", data: { type: end, title: End, outputs: [{ variable: who, value_selector: ["1", who] }] } }
    edges: [{ source: "1", sourceHandle: source, target: "2" }]
`;

const publicServices = {
  tasks: ["task_service", "TaskService"],
  workflows: ["workflow_service", "WorkflowService"],
  deliveries: ["delivery_service", "DeliveryService"],
  schedules: ["schedule_service", "ScheduleService"],
  secrets: ["secret_service", "SecretService"],
  connections: ["connection_service", "ConnectionService"],
  limits: ["limit_service", "LimitService"],
  workers: ["worker_service", "WorkerService"],
} as const;

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start());
  const made: Partial<Record<keyof typeof publicServices, GrpcClient>> = {};
  const called = new Set<string>();
  const client = (name: keyof typeof made): GrpcClient => {
    const found = made[name];
    if (!found) throw new Error(name);
    return {
      ...found,
      call: (method, ...rest) => {
        called.add(`${name}.${method}`);
        return found.call(method, ...rest);
      },
      stream: (method, request) => {
        called.add(`${name}.${method}`);
        return found.stream(method, request);
      },
    };
  };
  beforeAll(() => {
    const address = `127.0.0.1:${at.system.port}`;
    for (const [name, [file, service]] of Object.entries(publicServices))
      Object.assign(made, { [name]: grpcClient(`longhaul/v1/${file}.proto`, `longhaul.v1.${service}`, address) });
  });
  afterAll(() => {
    for (const one of Object.values(made)) one.close();
  });

  test("every method of WorkflowService answers a grpc-js client", async () => {
    const workflows = client("workflows");
    expect(await workflows.call("Validate", { definition: struct({ nodes: text("none") }) })).toMatchObject({ valid: false });
    expect(await workflows.call("Put", { name: "echo", definition: echoDefinition })).toMatchObject({
      workflow: { name: "echo", revision: 1, project: "default" },
    });
    expect(await workflows.call("Get", { name: "echo" })).toMatchObject({
      workflow: { definition: { fields: { name: text("echo") } } },
    });
    expect(await workflows.call("List", {})).toMatchObject({ workflows: [{ name: "echo" }] });
    expect(await workflows.call("ListRevisions", { name: "echo" })).toMatchObject({ revisions: [{ revision: 1 }] });
    expect(await workflows.call("Validate", { definition: echoDefinition, input: text("hi") })).toMatchObject({
      valid: true,
      dryRun: { complete: true, output: text("hi"), nodes: [{ path: "say", state: "DRY_RUN_STATE_WOULD_RUN" }] },
    });
    await workflows.call("Put", {
      name: "echo",
      definition: struct({ ...echoDefinition.fields, output: text("${ nodes.say }") }),
    });
    expect(await workflows.call("Diff", { name: "echo", from: 1 })).toMatchObject({
      from: 1,
      to: 2,
      same: false,
      output: [{ pointer: "", before: text("${ nodes.say.said }"), after: text("${ nodes.say }") }],
    });
    await workflows.call("Put", { name: "echo", definition: echoDefinition });
    expect(await workflows.call("ImportDify", { text: difyApp })).toMatchObject({
      valid: true,
      report: { app: "Hello", complete: true },
      definition: { fields: { name: text("hello") } },
    });
    await expect(workflows.call("ImportDify", { text: "kind: other" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await workflows.call("Disable", { name: "echo" })).toMatchObject({ workflow: { enabled: false } });
    expect(await workflows.call("Enable", { name: "echo" })).toMatchObject({ workflow: { enabled: true } });
    await workflows.call("Put", { name: "gone", definition: struct({ nodes: echoDefinition.fields["nodes"] }) });
    await workflows.call("Delete", { name: "gone" });
    await expect(workflows.call("Get", { name: "gone" })).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("every method of TaskService and DeliveryService answers a grpc-js client", async () => {
    const tasks = client("tasks");
    const deliveries = client("deliveries");
    const metadata = new Metadata();
    metadata.set("idempotency-key", "grpc-1");
    const submit = {
      workflow: "echo",
      input: text("hi"),
      wait: { seconds: 20 },
      webhook: { url: `${at.outside.url}/grpc-hook` },
    };
    const first = await tasks.call("Submit", submit, metadata);
    const { task } = first as { task: { id: string } };
    expect(first).toMatchObject({ replayed: false, task: { state: "TASK_STATE_SUCCEEDED", output: text("hi") } });
    expect(await tasks.call("Submit", submit, metadata)).toMatchObject({ replayed: true, task: { id: task.id } });
    expect(await tasks.call("Get", { id: task.id, wait: { seconds: 5 } })).toMatchObject({ task: { id: task.id } });
    expect(await tasks.call("BatchGet", { ids: [task.id, missing] })).toMatchObject({
      tasks: [{ id: task.id }],
      missing: [missing],
    });
    expect(await tasks.call("List", { state: ["TASK_STATE_SUCCEEDED"] })).toMatchObject({ tasks: [{ id: task.id }] });
    expect(await tasks.call("ListNodeRuns", { taskId: task.id })).toMatchObject({
      nodes: [{ path: "say", state: "NODE_STATE_SUCCEEDED" }],
    });
    const events = await tasks.stream("Watch", { id: task.id });
    expect(events.at(-1)).toMatchObject({ event: "end", end: { id: task.id, state: "TASK_STATE_SUCCEEDED" } });

    await at.outside.called((call) => call.path === "/grpc-hook");
    const listed = await deliveries.call("List", { taskId: task.id });
    const [delivery] = (listed as { deliveries: { id: string }[] }).deliveries;
    expect(await deliveries.call("Get", { id: delivery?.id })).toMatchObject({ delivery: { taskId: task.id } });
    await at.api.when(task.id, (one) => one.delivery?.state === "delivered");
    expect(await deliveries.call("Replay", { id: delivery?.id })).toMatchObject({ delivery: { id: delivery?.id } });

    expect(await deliveries.call("ReplayFailed", { taskId: task.id })).toMatchObject({ replayed: 0 });

    await at.api.put({ name: "hold", nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/hold/grpc` } }] });
    const held = (await tasks.call("Submit", { workflow: "hold" })) as { task: { id: string } };
    expect(await tasks.call("Cancel", { id: held.task.id, reason: "enough" })).toMatchObject({
      task: { state: "TASK_STATE_CANCELLED", error: { code: "cancelled", message: "enough" } },
    });
    const again = (await tasks.call("Retry", { id: held.task.id })) as { task: { id: string } };
    expect(again).toMatchObject({ replayed: false, task: { retryOf: held.task.id } });
    expect(await tasks.call("BatchCancel", { ids: [again.task.id, missing] })).toMatchObject({
      tasks: [{ state: "TASK_STATE_CANCELLED" }],
      missing: [missing],
    });
  });

  test("a waiting task takes its signals and its resume link from a grpc-js client", async () => {
    const tasks = client("tasks");
    await at.api.put({
      name: "ask",
      nodes: [
        { id: "paid", kind: "signal", with: {} },
        { id: "sure", kind: "approval", needs: ["paid"], with: { prompt: "Sure?" } },
      ],
    });
    const { task } = (await tasks.call("Submit", { workflow: "ask" })) as { task: { id: string } };
    await at.api.when(task.id, (one) => one.state === "waiting");
    expect(await tasks.call("Signal", { id: task.id, name: "paid", payload: text("yes") })).toMatchObject({
      task: { id: task.id },
    });
    const { token } = (await tasks.call("CreateResumeLink", { id: task.id, node: "sure" })) as { token: string };
    const choice = { structValue: struct({ choice: text("approve") }), kind: "structValue" };
    expect(await tasks.call("Resume", { token, payload: choice })).toEqual({ taskId: task.id, node: "sure" });
    expect(await tasks.call("Get", { id: task.id, wait: { seconds: 20 } })).toMatchObject({
      task: { state: "TASK_STATE_SUCCEEDED" },
    });
    await expect(tasks.call("Resume", { token, payload: choice })).rejects.toMatchObject({ code: expect.any(Number) });
  });

  test("every method of the services that manage things answers a grpc-js client", async () => {
    const schedules = client("schedules");
    const nightly = { workflow: "echo", cron: "0 3 * * *", input: text("hi") };
    expect(await schedules.call("Put", { name: "nightly", schedule: nightly })).toMatchObject({ schedule: { name: "nightly" } });
    expect(await schedules.call("Get", { name: "nightly" })).toMatchObject({ schedule: { workflow: "echo", timeZone: "UTC" } });
    expect(await schedules.call("List", {})).toMatchObject({ schedules: [{ name: "nightly" }] });
    expect(await schedules.call("Pause", { name: "nightly" })).toMatchObject({ schedule: { paused: true } });
    expect(await schedules.call("Resume", { name: "nightly" })).toMatchObject({ schedule: { paused: false } });
    const { taskId } = (await schedules.call("RunNow", { name: "nightly" })) as { taskId: string };
    expect((await at.api.ended(taskId)).labels).toEqual({ schedule: "nightly" });
    await schedules.call("Delete", { name: "nightly" });

    const secrets = client("secrets");
    expect(await secrets.call("Put", { name: "KEY", value: "hunter2-hunter2" })).toMatchObject({ secret: { name: "KEY" } });
    expect(JSON.stringify(await secrets.call("List", {}))).not.toContain("hunter2");
    const connections = client("connections");
    const local = { kind: "openai", baseUrl: "http://127.0.0.1:9/v1", secret: "KEY" };
    expect(await connections.call("Put", { name: "local", connection: local })).toMatchObject({ connection: { name: "local" } });
    expect(await connections.call("Get", { name: "local" })).toMatchObject({ connection: { secret: "KEY" } });
    expect(await connections.call("List", {})).toMatchObject({ connections: [{ name: "local" }] });
    await connections.call("Delete", { name: "local" });
    await secrets.call("Delete", { name: "KEY" });

    const limits = client("limits");
    expect(await limits.call("Put", { key: "workflow:echo", concurrency: 7 })).toMatchObject({ limit: { concurrency: 7 } });
    expect(await limits.call("Get", { key: "workflow:echo" })).toMatchObject({ limit: { key: "workflow:echo", used: 0 } });
    expect(await limits.call("List", {})).toMatchObject({ limits: [{ key: "workflow:echo" }] });
    await limits.call("Delete", { key: "workflow:echo" });
  });

  test("every method of WorkerService answers a grpc-js client", async () => {
    const workers = client("workers");
    await at.api.put({ name: "work", nodes: [{ id: "x", kind: "worker", with: { function: "f", input: { n: 1 } } }] });
    const submit = async () => ((await client("tasks").call("Submit", { workflow: "work" })) as { task: { id: string } }).task.id;
    const poll = async () => {
      const asked = { worker: "grpc-js", functions: [{ name: "f", capacity: 1 }], wait: { seconds: 20 } };
      const { jobs } = (await workers.call("Poll", asked)) as { jobs: { id: string; fence: string }[] };
      const [{ id, fence } = { id: "", fence: "" }] = jobs;
      return { id, fence };
    };
    const first = await submit();
    const given = await poll();
    expect(await workers.call("Heartbeat", { jobs: [given] })).toMatchObject({ jobs: [{ id: given.id }] });
    await workers.call("Progress", { ...given, delta: text("half") });
    await workers.call("Log", { ...given, lines: ["half of it"] });
    expect(await workers.call("Release", { jobs: [given] })).toMatchObject({ jobs: [{ id: given.id }] });
    const again = await poll();
    expect(again.id).toBe(given.id);
    await workers.call("Complete", { ...again, output: text("done") });
    expect(await at.api.ended(first)).toMatchObject({ state: "succeeded", output: { x: "done" } });

    const second = await submit();
    await workers.call("Fail", { ...(await poll()), error: { code: "broken", message: "It broke." } });
    expect(await at.api.ended(second)).toMatchObject({ state: "failed", error: { node: "x" } });
  });

  test("no public method was left out", () => {
    const all = Object.entries(made).flatMap(([name, one]) => one.methods.map((method) => `${name}.${method}`));
    expect(all).toHaveLength(51);
    expect([...called].sort()).toEqual(all.sort());
  });

  test("errors carry the code and the details of google.rpc; deadlines are honoured; inner services are not served", async () => {
    const tasks = client("tasks");
    const error = await tasks.call("Get", { id: missing }).catch((why: unknown) => why);
    expect(error).toMatchObject({ code: status.NOT_FOUND });
    const details = (error as { metadata: Metadata }).metadata.get("grpc-status-details-bin");
    expect(String(details[0])).toContain("TASK_NOT_FOUND");
    await expect(tasks.call("Submit", { workflow: "" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(tasks.call("List", { pageToken: "garbage" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });

    const held = (await tasks.call("Submit", { workflow: "hold" })) as { task: { id: string } };
    const begun = performance.now();
    const late = await new Promise((resolve) => {
      const file = "longhaul/v1/task_service.proto";
      const plain = grpcClient(file, "longhaul.v1.TaskService", `127.0.0.1:${at.system.port}`);
      const metadata = new Metadata();
      metadata.set("grpc-timeout", "300m");
      void plain
        .call("Get", { id: held.task.id, wait: { seconds: 30 } }, metadata)
        .then(resolve, resolve)
        .finally(() => plain.close());
    });
    expect(performance.now() - begun).toBeLessThan(3_000);
    expect(late).toBeDefined();
    await tasks.call("Cancel", { id: held.task.id });

    for (const [file, service, method] of [
      ["intake_service", "IntakeService", "SubmitMany"],
      ["execution_service", "ExecutionService", "Claim"],
      ["notifier_service", "NotifierService", "Accept"],
    ] as const) {
      const inner = grpcClient(`longhaul/v1/${file}.proto`, `longhaul.v1.${service}`, `127.0.0.1:${at.system.port}`);
      await expect(inner.call(method, {})).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
      inner.close();
    }
  });

  test("health and reflection are served", async () => {
    const address = `127.0.0.1:${at.system.port}`;
    const health = grpcClient("grpc/health/v1/health.proto", "grpc.health.v1.Health", address);
    expect(await health.call("Check", {})).toMatchObject({ status: "SERVING" });
    health.close();
    for (const version of ["v1", "v1alpha"]) {
      const reflection = grpcClient(
        `grpc/reflection/${version}/reflection.proto`,
        `grpc.reflection.${version}.ServerReflection`,
        address,
      );
      const [services, file, unknown] = await reflection.exchange("ServerReflectionInfo", [
        { listServices: "" },
        { fileContainingSymbol: "longhaul.v1.TaskService" },
        { fileContainingSymbol: "longhaul.v1.Nothing" },
      ]);
      const names = (services as { listServicesResponse: { service: { name: string }[] } }).listServicesResponse.service;
      expect(names.map((one) => one.name)).toEqual(
        expect.arrayContaining(["longhaul.v1.TaskService", "longhaul.v1.WorkflowService", "longhaul.v1.DeliveryService"]),
      );
      expect(names.map((one) => one.name)).not.toContain("longhaul.v1.ExecutionService");
      const protos = (file as { fileDescriptorResponse: { fileDescriptorProto: Buffer[] } }).fileDescriptorResponse;
      expect(protos.fileDescriptorProto.some((one) => one.includes("longhaul/v1/task_service.proto"))).toBe(true);
      expect(unknown).toMatchObject({ errorResponse: { errorCode: status.NOT_FOUND } });
      reflection.close();
    }
  });

  test("Connect and gRPC-Web answer plain fetch", async () => {
    const connect = (method: string, body: object) =>
      fetch(`${at.system.url}/longhaul.v1.TaskService/${method}`, {
        method: "POST",
        headers: { "content-type": "application/json", "connect-protocol-version": "1" },
        body: JSON.stringify(body),
      });
    const answer = await connect("Submit", { workflow: "echo", input: { a: 1 }, wait: "20s" });
    expect(answer.status).toBe(200);
    const { task } = (await answer.json()) as { task: { id: string } };
    expect(task).toMatchObject({ state: "TASK_STATE_SUCCEEDED", output: { a: 1 } });
    const refused = await connect("Get", { id: missing });
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([404, "not_found"]);

    const { service } = client("tasks");
    const get = service["Get"];
    if (!get) throw new Error("no Get");
    const message = Buffer.from(get.requestSerialize({ id: task.id }));
    const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
    const web = (body: Buffer, type: string) =>
      fetch(`${at.system.url}/longhaul.v1.TaskService/Get`, {
        method: "POST",
        headers: { "content-type": type, "x-grpc-web": "1" },
        body: new Uint8Array(body),
      });
    const binary = await web(frame, "application/grpc-web+proto");
    expect(binary.headers.get("content-type")).toMatch(/^application\/grpc-web\+proto/);
    const bytes = Buffer.from(await binary.arrayBuffer());
    const length = bytes.readUInt32BE(1);
    expect(get.responseDeserialize(bytes.subarray(5, 5 + length))).toMatchObject({ task: { id: task.id } });
    const trailer = bytes.subarray(5 + length);
    expect(trailer[0]).toBe(0x80);
    expect(trailer.subarray(5).toString()).toMatch(/grpc-status: ?0/);
  });

  test("a Python client of grpcio with stubs made by protoc submits, waits, watches and reads errors", async () => {
    const program = `
import json, sys, grpc
from google.protobuf import struct_pb2, duration_pb2
from longhaul.v1 import task_service_pb2 as pb, task_service_pb2_grpc as rpc, task_pb2
channel = grpc.insecure_channel(sys.argv[1])
tasks = rpc.TaskServiceStub(channel)
value = struct_pb2.Value(string_value="grüße")
submit = pb.TaskServiceSubmitRequest(workflow="echo", input=value, request_id="python-1", wait=duration_pb2.Duration(seconds=20))
first = tasks.Submit(submit, timeout=30)
second = tasks.Submit(submit, timeout=30)
events = [event.WhichOneof("event") for event in tasks.Watch(pb.TaskServiceWatchRequest(id=first.task.id), timeout=30)]
try:
    tasks.Get(pb.TaskServiceGetRequest(id="01900000-0000-7000-8000-000000000000"), timeout=10)
    code = "none"
except grpc.RpcError as error:
    code = error.code().name
print(json.dumps({"id": first.task.id, "state": task_pb2.TaskState.Name(first.task.state), "output": first.task.output.string_value,
  "replayed": [first.replayed, second.replayed], "same": first.task.id == second.task.id, "events": events, "code": code}))
`;
    const python = await pythonWithStubs();
    const said = await runPython(python, program, [`127.0.0.1:${at.system.port}`]);
    expect(said).toMatchObject({
      state: "TASK_STATE_SUCCEEDED",
      output: "grüße",
      replayed: [false, true],
      same: true,
      code: "NOT_FOUND",
    });
    expect((said as { events: string[] }).events.at(-1)).toBe("end");
  }, 300_000);
});
