import { TaskState } from "@longhaul/proto/task";
import { valueFromJson } from "@longhaul/shared";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type StartedGateway, startGateway } from "../testing/start-gateway.ts";

let gateway: StartedGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => {
  expect(gateway.errors).toEqual([]);
  await gateway[Symbol.asyncDispose]();
});

const json = { "content-type": "application/json" };

interface Said {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly body: any;
}

async function ask(
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: unknown } = {},
): Promise<Said> {
  const sent =
    body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body), headers: { ...json, ...headers } };
  const res = await fetch(gateway.url + path, { method, headers, ...sent });
  const text = await res.text();
  const isJson = /json/.test(res.headers.get("content-type") ?? "") && text !== "";
  return { status: res.status, headers: res.headers, body: isJson ? JSON.parse(text) : text };
}

async function submitted(
  body: object = { workflow: "echo", input: { n: 1 } },
  headers: Record<string, string> = {},
): Promise<Said> {
  return ask("POST", "/v1/tasks", { body, headers });
}

test("a submit answers 202 with the task, Location, Retry-After and ETag", async () => {
  const input = { a: [1, "x", null, { "": true }], ["__proto__"]: { polluted: 1 } };
  const res = await fetch(`${gateway.url}/v1/tasks`, {
    method: "POST",
    headers: json,
    body: '{"workflow":"echo","input":{"a":[1,"x",null,{"":true}],"__proto__":{"polluted":1}},"labels":{"team":"x"},"priority":-3}',
  });
  const text = await res.text();
  const task = JSON.parse(text);
  expect(res.status).toBe(202);
  expect(text).toContain('"__proto__":{"polluted":1}');
  expect(task).toMatchObject({
    workflow: "echo",
    state: "queued",
    project: "default",
    priority: -3,
    labels: { team: "x" },
    version: 1,
    attempt: 0,
  });
  expect(task.input.a).toEqual(input.a);
  expect(task.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(res.headers.get("location")).toBe(`/v1/tasks/${task.id}`);
  expect(res.headers.get("retry-after")).toBe("1");
  expect(res.headers.get("etag")).toBe('"1"');
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  const item = gateway.fake.groups.at(-1)?.[0];
  expect(Buffer.from(item?.inputJson ?? []).toString()).toBe('{"a":[1,"x",null,{"":true}],"__proto__":{"polluted":1}}');
  expect(item).toMatchObject({ project: "default", workflow: "echo", priority: -3, idempotencyKey: "" });
});

test("a submit without input has the input null; snake_case fields are understood", async () => {
  const { status, body } = await submitted({ workflow: "echo", not_before: "2027-01-01T00:00:00Z" });
  expect(status).toBe(202);
  expect(body.input).toBeNull();
  expect(gateway.fake.groups.at(-1)?.[0]?.notBefore?.seconds).toBe(1_798_761_600n);
});

test("a refusal of a submit is a problem with its code, status and pointers", async () => {
  expect(await submitted({ workflow: "missing" })).toMatchObject({
    status: 404,
    body: { code: "workflow_not_found", status: 404, instance: "/v1/tasks" },
  });
  const picky = await submitted({ workflow: "picky" });
  expect(picky).toMatchObject({
    status: 422,
    body: { type: "urn:longhaul:error:invalid_input", errors: [{ pointer: "/input/url", detail: "is required" }] },
  });
  expect(picky.headers.get("content-type")).toBe("application/problem+json");
});

test("one bad submit fails alone within its group", async () => {
  const answers = await Promise.all([submitted(), submitted({ workflow: "missing" }), submitted()]);
  expect(answers.map((one) => one.status)).toEqual([202, 404, 202]);
});

test("an idempotency key answers the same task, quoted or bare, as header or field; another body is refused", async () => {
  const first = await submitted({ workflow: "echo", input: 1 }, { "idempotency-key": '"k 1"' });
  const again = await submitted({ workflow: "echo", input: 1 }, { "idempotency-key": '"k 1"' });
  expect(first.headers.get("idempotent-replayed")).toBeNull();
  expect(again.status).toBe(202);
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect(again.body).toMatchObject({ id: first.body.id, input: 1 });
  expect(await submitted({ workflow: "echo", input: 2 }, { "idempotency-key": '"k 1"' })).toMatchObject({
    status: 422,
    body: { code: "idempotency_mismatch" },
  });
  const bare = await submitted({ workflow: "echo", requestId: "bare" }, { "idempotency-key": "bare" });
  expect((await submitted({ workflow: "echo", requestId: "bare" })).body.id).toBe(bare.body.id);
});

test.each(['""', '"a', "a b", "é".repeat(3), "x".repeat(256), '"a\tb"', "a, b"])(
  "the idempotency key %j is refused",
  async (key) => {
    expect(await submitted({ workflow: "echo" }, { "idempotency-key": key })).toMatchObject({
      status: 400,
      body: { code: "invalid_argument" },
    });
  },
);

test("two different idempotency keys in one request are refused", async () => {
  expect(await submitted({ workflow: "echo", requestId: "a" }, { "idempotency-key": "b" })).toMatchObject({
    status: 400,
    body: { code: "invalid_argument", errors: [{ pointer: "/requestId" }] },
  });
});

test("a submit that waits answers 200 when the task ended in time, otherwise 202", async () => {
  const { tasks } = gateway.fake;
  const get = tasks.get;
  if (!get) throw new Error("no fake");
  tasks.get = (request) => {
    const task = gateway.fake.stored.get(request.id);
    return task ? { task: { ...task, state: TaskState.SUCCEEDED } } : {};
  };
  try {
    const done = await submitted({ workflow: "echo", input: [7] }, { prefer: "respond-async, wait=5" });
    expect(done).toMatchObject({ status: 200, body: { state: "succeeded", input: [7] } });
    expect(done.headers.get("preference-applied")).toBe("wait=5");
    expect(done.headers.get("retry-after")).toBeNull();
    tasks.get = (request) => ({ task: gateway.fake.stored.get(request.id) ?? { id: "" } });
    const late = await submitted({ workflow: "echo" }, { prefer: "wait=600" });
    expect(late).toMatchObject({ status: 202, body: { state: "queued" } });
    expect(late.headers.get("preference-applied")).toBe("wait=60");
    tasks.get = () => {
      throw new Error("gone");
    };
    expect(await submitted({ workflow: "echo" }, { prefer: "wait=1" })).toMatchObject({ status: 202, body: { state: "queued" } });
  } finally {
    tasks.get = get;
  }
});

test("reading: strong ETag, 304 for If-None-Match in every form, and the wait is passed on", async () => {
  const { id } = (await submitted()).body;
  const first = await ask("GET", `/v1/tasks/${id}`);
  expect(first).toMatchObject({ status: 200, body: { id, input: { n: 1 } } });
  expect(first.headers.get("etag")).toBe('"1"');
  for (const tag of ['"1"', 'W/"1"', '"7", "1"', "*", '"0" , W/"1"']) {
    const unchanged = await ask("GET", `/v1/tasks/${id}`, { headers: { "if-none-match": tag } });
    expect({ tag, status: unchanged.status, etag: unchanged.headers.get("etag"), body: unchanged.body }).toEqual({
      tag,
      status: 304,
      etag: '"1"',
      body: "",
    });
  }
  for (const tag of ['"2"', "1", "garbage", '"'])
    expect((await ask("GET", `/v1/tasks/${id}`, { headers: { "if-none-match": tag } })).status).toBe(200);
  const polled = await ask("GET", `/v1/tasks/${id}`, { headers: { "if-none-match": '"1"', prefer: "wait=20" } });
  expect(polled.status).toBe(304);
  expect(polled.headers.get("preference-applied")).toBe("wait=20");
  expect(gateway.fake.seen.at(-1)?.request).toMatchObject({ id, ifNoneMatch: 1n, wait: { seconds: 20n } });
});

test("every read answers HEAD with the same headers and no body", async () => {
  const { id } = (await submitted()).body;
  const get = await ask("GET", `/v1/tasks/${id}`);
  const head = await ask("HEAD", `/v1/tasks/${id}`);
  expect(head).toMatchObject({ status: 200, body: "" });
  expect(head.headers.get("etag")).toBe(get.headers.get("etag"));
  expect(Number(head.headers.get("content-length"))).toBe(Number(get.headers.get("content-length")));
  expect((await ask("HEAD", "/v1/tasks/none")).status).toBe(404);
  expect((await ask("HEAD", `/v1/tasks/${id}/events`)).headers.get("content-type")).toMatch(/event-stream/);
});

test("listing reads repeated states, labels, times and page sizes from the query", async () => {
  const path =
    "/v1/tasks?state=queued&state=timed_out,failed&workflow=echo&label.team=a%26b&label.a.b=c&q=&createdAfter=2026-01-02T03:04:05Z&page_size=7";
  const { status, body } = await ask("GET", path);
  expect(status).toBe(200);
  expect(body).toMatchObject({ tasks: expect.any(Array), nextPageToken: "" });
  expect(gateway.fake.seen.at(-1)).toMatchObject({
    method: "List",
    request: {
      state: [1, 7, 5],
      workflow: "echo",
      label: { team: "a&b", "a.b": "c" },
      q: "",
      pageSize: 7,
      createdAfter: { seconds: 1_767_323_045n },
    },
  });
});

test.each([
  "state=quoted",
  "pageSize=x",
  "pageSize=1.5",
  "pageSize=1&pageSize=2",
  "createdAfter=yesterday",
  "stat=queued",
  "label=x",
  "label.=x",
  "q=%ff",
  "q=%zz",
  "q=a%00b",
  "pageToken=bad",
  "pageSize=99999999999999",
])("the query %s is refused with a problem", async (query) => {
  expect(await ask("GET", `/v1/tasks?${query}`)).toMatchObject({
    status: 400,
    body: { code: "invalid_argument", detail: expect.any(String) },
  });
});

test("the actions of a task: cancel, retry, batches, node runs, deliveries", async () => {
  const { id } = (await submitted()).body;
  expect(await ask("POST", `/v1/tasks/${id}:retry`)).toMatchObject({ status: 409, body: { code: "conflict" } });
  const cancelled = await ask("POST", `/v1/tasks/${id}:cancel`, { body: { reason: "no need" } });
  expect(cancelled).toMatchObject({ status: 200, body: { state: "cancelled" } });
  expect(cancelled.headers.get("etag")).toBe('"2"');
  expect(gateway.fake.seen.at(-1)?.request).toMatchObject({ id, reason: "no need" });
  const retried = await ask("POST", `/v1/tasks/${id}:retry`, { headers: { "idempotency-key": "again" } });
  expect(retried).toMatchObject({ status: 202, body: { retryOf: id } });
  expect(retried.headers.get("location")).toBe(`/v1/tasks/${retried.body.id}`);
  expect(retried.headers.get("idempotent-replayed")).toBe("true");
  expect((await ask("POST", "/v1/tasks:batchGet", { body: { ids: [id, "nope"] } })).body).toMatchObject({
    tasks: [{ id }],
    missing: ["nope"],
  });
  expect((await ask("POST", "/v1/tasks:batchCancel", { body: { ids: [id] } })).body.tasks).toHaveLength(1);
  expect((await ask("GET", `/v1/tasks/${id}/nodes`)).body).toMatchObject({ nodes: [{ path: "a", state: "succeeded" }] });
  expect((await ask("GET", `/v1/tasks/${id}/deliveries?pageSize=3`)).body.deliveries[0]).toMatchObject({
    state: "delivered",
    createTime: "1970-01-01T00:00:00.000Z",
  });
  expect((await ask("GET", `/v1/deliveries/${id}.task.succeeded`)).body).toMatchObject({ state: "exhausted" });
  expect(await ask("POST", `/v1/deliveries/${id}.task.succeeded:replay`)).toMatchObject({
    status: 202,
    body: { state: "pending" },
  });
  expect(await ask("GET", "/v1/deliveries/x")).toMatchObject({ status: 404, body: { code: "delivery_not_found" } });
});

test("a body that contradicts the path is refused", async () => {
  const { id } = (await submitted()).body;
  expect(await ask("POST", `/v1/tasks/${id}:cancel`, { body: { id } })).toMatchObject({ status: 200 });
  expect(await ask("POST", `/v1/tasks/${id}:cancel`, { body: { id: "other" } })).toMatchObject({
    status: 400,
    body: { errors: [{ pointer: "/id" }] },
  });
});

test("workflows: the body is the definition, as JSON or YAML", async () => {
  const put = await ask("PUT", "/v1/workflows/flow-1", { body: { name: "flow-1", nodes: [] } });
  expect(put).toMatchObject({
    status: 200,
    body: { name: "flow-1", revision: 1, definition: { name: "flow-1", nodes: [] }, enabled: true },
  });
  expect(put.headers.get("etag")).toBe('"1"');
  const yaml = await ask("PUT", "/v1/workflows/flow-2", {
    body: "name: flow-2\nnodes:\n  - id: a\n    with: {x: 1, y: ~}\n",
    headers: { "content-type": "application/yaml" },
  });
  expect(yaml.body.definition).toEqual({ name: "flow-2", nodes: [{ id: "a", with: { x: 1, y: null } }] });
  expect((await ask("GET", "/v1/workflows/flow-1")).status).toBe(200);
  expect((await ask("GET", "/v1/workflows/flow-1", { headers: { "if-none-match": '"1"' } })).status).toBe(304);
  expect((await ask("GET", "/v1/workflows/flow-1/revisions/4")).body.revision).toBe(4);
  expect((await ask("GET", "/v1/workflows/flow-1/revisions/four")).status).toBe(400);
  expect((await ask("GET", "/v1/workflows")).body.workflows).toHaveLength(2);
  expect((await ask("GET", "/v1/workflows/flow-1/revisions")).body.revisions).toHaveLength(2);
  expect((await ask("POST", "/v1/workflows:validate", { body: { nodes: [] } })).body).toEqual({
    valid: false,
    errors: [{ pointer: "/nodes/0/needs/0", node: "a", message: "there is no node b", mend: "add it" }],
  });
  const sampled = await ask("POST", "/v1/workflows:validate?input=%7B%22n%22%3A1%7D&recorded.a=%5B2%5D", { body: { nodes: [] } });
  expect(sampled.status).toBe(200);
  expect((await ask("POST", "/v1/workflows:dryRun", { body: { definition: {}, input: null, recorded: { b: 3 } } })).status).toBe(
    200,
  );
  const validated = gateway.fake.seen.filter(({ method }) => method === "Validate").slice(-2);
  expect(validated.map(({ request }) => request)).toMatchObject([
    { input: valueFromJson({ n: 1 }), recorded: { a: valueFromJson([2]) } },
    { input: valueFromJson(null), recorded: { b: valueFromJson(3) } },
  ]);
  expect(await ask("POST", "/v1/workflows:validate?input=%7Bn", { body: {} })).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining("query parameter input must be JSON") },
  });
  expect((await ask("GET", "/v1/workflows/flow-1/revisions:diff?from=1&to=2")).body).toMatchObject({
    from: 1,
    to: 2,
    same: true,
  });
  expect((await ask("GET", "/v1/workflows/none/revisions:diff")).status).toBe(404);
  expect((await ask("GET", "/v1/workflows/flow-1/revisions:diff?from=x")).status).toBe(400);
  const text = 'kind: app\nversion: "0.3.1" # as it came\n';
  const asYaml = await ask("POST", "/v1/workflows:importDify", { body: text, headers: { "content-type": "application/yaml" } });
  expect(asYaml.body).toMatchObject({ valid: true, definition: { name: "imported" }, report: { app: text, complete: true } });
  expect((await ask("POST", "/v1/workflows:importDify", { body: JSON.stringify(text) })).body.report.app).toBe(text);
  expect((await ask("POST", "/v1/workflows:importDify", { body: '{"kind": "app"}' })).body.report.app).toBe('{"kind": "app"}');
  expect((await ask("POST", "/v1/workflows:importDify", { body: '"nothing"' })).status).toBe(400);
  expect((await ask("POST", "/v1/workflows:importDify")).status).toBe(400);
  expect(await ask("DELETE", "/v1/workflows/flow-1")).toMatchObject({ status: 204, body: "" });
  expect(await ask("DELETE", "/v1/workflows/flow-1")).toMatchObject({ status: 404, body: { code: "workflow_not_found" } });
  expect(await ask("PUT", "/v1/workflows/x")).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining("body is missing") },
  });
  expect(await ask("PUT", "/v1/workflows/x", { body: "[1]" })).toMatchObject({ status: 400 });
});

test("faults of a definition keep node and mend", async () => {
  const { workflows } = gateway.fake;
  const put = workflows.put;
  if (!put) throw new Error("no fake");
  const { LonghaulError } = await import("@longhaul/core");
  const { directClients } = await import("../testing/fake-backends.ts");
  const faults = [{ pointer: "/nodes/0", node: "a", message: "is odd", mend: "make it even" }];
  workflows.put = () => {
    throw new LonghaulError("invalid_argument", "the definition has a fault", { faults });
  };
  await using solo = await startGateway({ clients: directClients(gateway.fake) });
  try {
    const res = await fetch(`${solo.url}/v1/workflows/x`, { method: "PUT", headers: json, body: "{}" });
    expect(await res.json()).toMatchObject({
      status: 400,
      errors: [{ pointer: "/nodes/0", node: "a", detail: "is odd", mend: "make it even" }],
    });
  } finally {
    workflows.put = put;
  }
});

test("an unknown path is 404; a known one with another method is 405 with Allow; OPTIONS says what is allowed", async () => {
  for (const path of ["/nope", "/v1/tasks/a/b/c", "/v1/tasks/x:explode", "/v2/tasks", "/v1/tasks/"]) {
    expect(await ask("GET", path), path).toMatchObject({ status: 404, body: { code: "not_found" } });
  }
  const put = await ask("PUT", "/v1/tasks", { body: {} });
  expect(put).toMatchObject({ status: 405, body: { status: 405 } });
  expect(put.headers.get("allow")).toBe("POST, GET, HEAD, OPTIONS");
  expect((await ask("GET", "/v1/tasks/x:cancel")).headers.get("allow")).toBe("POST, OPTIONS");
  const options = await ask("OPTIONS", "/v1/tasks/abc");
  expect(options.status).toBe(204);
  expect(options.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  expect((await ask("OPTIONS", "/nope")).status).toBe(404);
  expect((await ask("DELETE", "/openapi.json")).status).toBe(405);
});

test("bodies that are not JSON, not UTF-8, too deep, too large or of another type are refused with a sentence", async () => {
  const post = (body: string | Buffer, headers: Record<string, string> = json) =>
    fetch(`${gateway.url}/v1/tasks`, { method: "POST", headers, body });
  const read = async (res: Response): Promise<{ readonly code?: string; readonly detail?: string }> =>
    JSON.parse(await res.text());
  const malformed = await post('{"workflow": "echo",\n "input": nope}');
  expect(malformed.status).toBe(400);
  expect((await read(malformed)).detail).toContain("line 2, column 11");
  expect((await post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]))).status).toBe(400);
  const deep = await post(`{"workflow":"echo","input":${"[".repeat(64)}${"]".repeat(64)}}`);
  expect([deep.status, (await read(deep)).code]).toEqual([400, "invalid_argument"]);
  expect((await post(`{"workflow":"echo","input":${"[".repeat(40)}${"]".repeat(40)}}`)).status).toBe(202);
  const large = await post(`{"workflow":"echo","input":"${"x".repeat(1_100_000)}"}`);
  expect([large.status, (await read(large)).code]).toEqual([413, "too_large"]);
  const form = await post("workflow=echo", { "content-type": "application/x-www-form-urlencoded" });
  expect([form.status, (await read(form)).code]).toEqual([415, "unsupported_media_type"]);
  expect((await post("{}", { "content-type": "garbage" })).status).toBe(415);
  expect((await post("{}", { "content-type": "application/json; charset=latin1" })).status).toBe(415);
  expect((await post("{}", { ...json, "content-encoding": "gzip" })).status).toBe(415);
  expect((await post("[]")).status).toBe(400);
  expect((await post("")).status).toBe(400);
  const unknown = await post('{"workflow":"echo","inputs":1}');
  expect(await unknown.json()).toMatchObject({ status: 400, errors: [{ pointer: "/inputs" }] });
});

test("the pages: entrance, probes, documents", async () => {
  expect((await ask("GET", "/")).body).toMatchObject({ openapi: "/openapi.json" });
  expect((await ask("GET", "/livez")).body).toBe("ok\n");
  expect((await ask("GET", "/readyz")).status).toBe(200);
  expect((await ask("GET", "/openapi.json")).body.openapi).toBe("3.1.0");
  expect((await ask("GET", "/v1/workflow-schema")).headers.get("content-type")).toBe("application/schema+json");
});

test("an unexpected error is a bare 500, logged, without its text", async () => {
  await using other = await startGateway();
  other.fake.tasks.list = () => {
    throw new Error("secret stack of the scheduler");
  };
  const res = await fetch(`${other.url}/v1/tasks`);
  const text = await res.text();
  expect(res.status).toBe(500);
  expect(text).not.toMatch(/secret|stack|\.ts/);
  expect(other.errors).toHaveLength(1);
  other.errors.length = 0;
});

test("readyz is 503 while a backend can't be reached or the process is not ready", async () => {
  let reachable = false;
  await using other = await startGateway({ reach: async () => reachable });
  const down = await fetch(`${other.url}/readyz`);
  expect([down.status, down.headers.get("retry-after")]).toEqual([503, "1"]);
  reachable = true;
  expect((await fetch(`${other.url}/readyz`)).status).toBe(200);
});
