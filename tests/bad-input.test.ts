import { connect } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import type { Problem, Sent } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const json = { "content-type": "application/json" };
const missing = "01900000-0000-7000-8000-000000000000";
const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const node = (more: Record<string, unknown> = {}) => ({ id: "x", kind: "transform", with: {}, ...more });
const put = (definition: unknown, name = "bad"): readonly [string, Sent] => [
  `/v1/workflows/${name}`,
  { method: "PUT", body: definition },
];
const submit = (body: unknown, headers: Readonly<Record<string, string>> = {}): readonly [string, Sent] => [
  "/v1/tasks",
  { method: "POST", body, headers: typeof body === "string" ? { ...json, ...headers } : headers },
];
const valid = { workflow: "good", input: { n: 1 } };

type Case = readonly [what: string, request: readonly [string, Sent], status: number, code: string, detail?: RegExp | undefined];

const cases: readonly Case[] = [
  ["JSON that ends early", submit('{"workflow":"good"'), 400, "invalid_argument"],
  ["JSON with a trailing comma", submit('{"workflow":"good","input":{"n":1},}'), 400, "invalid_argument"],
  [
    "bytes that are no UTF-8",
    submit(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), json),
    400,
    "invalid_argument",
  ],
  ["no body", ["/v1/tasks", { method: "POST", headers: json }], 400, "invalid_argument"],
  ["an empty body", submit(""), 400, "invalid_argument"],
  ["a list for a body", submit("[]"), 400, "invalid_argument"],
  ["text for a body", submit('"good"'), 400, "invalid_argument"],
  ["JSON that is too deep", submit(`{"workflow":"good","input":${deep(5_000)}}`), 400, "invalid_argument", /deep/],
  ["a body that is too large", submit({ workflow: "good", input: { n: 1, pad: "x".repeat(200_000) } }), 413, "too_large"],
  [
    "form encoding",
    submit("workflow=good", { "content-type": "application/x-www-form-urlencoded" }),
    415,
    "unsupported_media_type",
  ],
  ["plain text", submit(JSON.stringify(valid), { "content-type": "text/plain" }), 415, "unsupported_media_type"],
  [
    "another charset",
    submit(JSON.stringify(valid), { "content-type": "application/json; charset=utf-16" }),
    415,
    "unsupported_media_type",
  ],
  ["no workflow", submit({ input: {} }), 400, "invalid_argument", /workflow/],
  ["an unknown workflow", submit({ workflow: "nobody-knows" }), 404, "workflow_not_found", /nobody-knows/],
  ["an unknown revision", submit({ ...valid, revision: 99 }), 404, "workflow_not_found"],
  ["a workflow that is a number", submit({ workflow: 5 }), 400, "invalid_argument", /workflow/],
  ["an unknown field", submit({ ...valid, workflw: "good" }), 400, "invalid_argument", /workflw/],
  ["input against its schema", submit({ workflow: "good", input: { n: "one" } }), 422, "invalid_input", /n/],
  ["input that lacks a property", submit({ workflow: "good", input: {} }), 422, "invalid_input", /n/],
  ["input that is absent", submit({ workflow: "good" }), 422, "invalid_input"],
  ["a priority out of bounds", submit({ ...valid, priority: 101 }), 400, "invalid_argument", /priority/],
  ["a priority that is no whole number", submit({ ...valid, priority: 1.5 }), 400, "invalid_argument", /priority/],
  ["a label that is too long", submit({ ...valid, labels: { ["k".repeat(64)]: "v" } }), 400, "invalid_argument", /label/i],
  [
    "too many labels",
    submit({ ...valid, labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, "v"])) }),
    400,
    "invalid_argument",
    /label/i,
  ],
  ["a deadline in the past", submit({ ...valid, deadline: "2020-01-01T00:00:00Z" }), 400, "invalid_argument", /deadline/],
  ["a deadline that is no time", submit({ ...valid, deadline: "tomorrow" }), 400, "invalid_argument", /deadline/],
  [
    "a start behind the deadline",
    submit({ ...valid, notBefore: "2098-01-01T00:00:00Z", deadline: "2097-01-01T00:00:00Z" }),
    400,
    "invalid_argument",
    /start|notBefore/,
  ],
  [
    "a webhook without http",
    submit({ ...valid, webhook: { url: "ftp://example.com/" } }),
    400,
    "invalid_argument",
    /webhook|url/i,
  ],
  ["a webhook that is no address", submit({ ...valid, webhook: { url: "not a url" } }), 400, "invalid_argument", /webhook|url/i],
  [
    "a webhook event that does not exist",
    submit({ ...valid, webhook: { url: "http://example.com/", events: ["task.started"] } }),
    400,
    "invalid_argument",
    /event/i,
  ],
  [
    "a webhook header that is ours",
    submit({ ...valid, webhook: { url: "http://example.com/", headers: { "webhook-id": "mine" } } }),
    400,
    "invalid_argument",
    /webhook-id/,
  ],
  [
    "a webhook header that breaks the line",
    submit({ ...valid, webhook: { url: "http://example.com/", headers: { "x-a": "b\r\nevil: 1" } } }),
    400,
    "invalid_argument",
    /header/i,
  ],
  ["a query where none is taken", ["/v1/tasks?workflow=good", { body: valid }], 400, "invalid_argument"],
  ["an idempotency key that is too long", submit(valid, { "idempotency-key": "k".repeat(256) }), 400, "invalid_argument", /key/i],
  ["an idempotency key that is empty", submit(valid, { "idempotency-key": "" }), 400, "invalid_argument", /key/i],

  [
    "a cycle",
    put({ name: "bad", nodes: [node({ id: "a", needs: ["b"] }), node({ id: "b", needs: ["a"] })] }),
    400,
    "invalid_argument",
    /a.*b|cycle/i,
  ],
  [
    "an unknown node in needs",
    put({ name: "bad", nodes: [node({ id: "fetch" }), node({ id: "b", needs: ["fech"] })] }),
    400,
    "invalid_argument",
    /fech/,
  ],
  [
    "a CEL expression that does not parse",
    put({ name: "bad", nodes: [node({ with: { v: "${ 1 + }" } })] }),
    400,
    "invalid_argument",
  ],
  [
    "an expression that is not closed",
    put({ name: "bad", nodes: [node({ with: { v: "${ input.n" } })] }),
    400,
    "invalid_argument",
  ],
  [
    "an expression about a node that is not needed",
    put({ name: "bad", nodes: [node({ id: "a" }), node({ id: "b", with: { v: "${ nodes.a.v }" } })] }),
    400,
    "invalid_argument",
    /a/,
  ],
  ["two nodes of one id", put({ name: "bad", nodes: [node(), node()] }), 400, "invalid_argument", /x/],
  ["an unknown kind", put({ name: "bad", nodes: [node({ kind: "htttp" })] }), 400, "invalid_argument", /htttp/],
  [
    "a method that does not exist",
    put({ name: "bad", nodes: [{ id: "x", kind: "http", with: { method: "GET IT", url: "http://e.example/" } }] }),
    400,
    "invalid_argument",
    /method/i,
  ],
  [
    "an http node without an address",
    put({ name: "bad", nodes: [{ id: "x", kind: "http", with: {} }] }),
    400,
    "invalid_argument",
    /url/,
  ],
  ["no nodes", put({ name: "bad", nodes: [] }), 400, "invalid_argument", /nodes/],
  ["an input schema that is none", put({ name: "bad", input: { type: "objekt" }, nodes: [node()] }), 400, "invalid_argument"],
  ["a duration that is none", put({ name: "bad", nodes: [node({ timeout: "soon" })] }), 400, "invalid_argument", /timeout/],
  ["another name than in the path", put({ name: "other", nodes: [node()] }), 400, "invalid_argument", /name/],
  ["a reserved name", put({ name: "tasks", nodes: [node()] }, "tasks"), 400, "invalid_argument", /tasks/],
  ["a name with a space", put({ nodes: [node()] }, "a%20b"), 400, "invalid_argument", /name/],
  [
    "YAML that does not parse",
    ["/v1/workflows/bad", { method: "PUT", body: "nodes: [unclosed", headers: { "content-type": "application/yaml" } }],
    400,
    "invalid_argument",
  ],
  [
    "YAML that multiplies itself",
    [
      "/v1/workflows/bad",
      {
        method: "PUT",
        body: `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefgh"].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefg"[i]}`).join(",")}]`).join("\n")}`,
        headers: { "content-type": "application/yaml" },
      },
    ],
    400,
    "invalid_argument",
  ],
  ["XML", submit("<task workflow='good'/>", { "content-type": "application/xml" }), 415, "unsupported_media_type"],

  ["a page token that is garbage", ["/v1/tasks?pageToken=%00garbage", {}], 400, "invalid_argument"],
  ["a page token of another list", ["/v1/tasks?pageToken=WyJnb29kIl0", {}], 400, "invalid_argument", /token/i],
  ["a page token that is no token", ["/v1/workflows?pageToken=garbage", {}], 400, "invalid_argument", /token/i],
  ["a page token that is huge", [`/v1/tasks?pageToken=${"A".repeat(4_000)}`, {}], 400, "invalid_argument", /token/i],
  ["a page size that is negative", ["/v1/tasks?pageSize=-1", {}], 400, "invalid_argument", /page/i],
  ["a page size that is a word", ["/v1/tasks?pageSize=many", {}], 400, "invalid_argument", /pageSize/],
  ["an unknown state", ["/v1/tasks?state=done", {}], 400, "invalid_argument", /state|done/],
  ["an unknown filter", ["/v1/tasks?color=red", {}], 400, "invalid_argument", /color/],
  ["a time that is none", ["/v1/tasks?createdAfter=yesterday", {}], 400, "invalid_argument", /createdAfter/],
  ["a query that is not encoded right", ["/v1/tasks?workflow=%zz", {}], 400, "invalid_argument"],
  ["an id that is no id", ["/v1/tasks/nope", {}], 404, "task_not_found"],
  ["an id that is unknown", [`/v1/tasks/${missing}`, {}], 404, "task_not_found"],
  ["nodes of an unknown task", [`/v1/tasks/${missing}/nodes`, {}], 404, "task_not_found"],
  ["events of an unknown task", [`/v1/tasks/${missing}/events`, {}], 404, "task_not_found"],
  ["an unknown delivery", [`/v1/deliveries/${missing}.task.succeeded`, {}], 404, "delivery_not_found"],
  [
    "a replay of an unknown delivery",
    [`/v1/deliveries/${missing}.task.succeeded:replay`, { body: {} }],
    404,
    "delivery_not_found",
  ],
  ["an unknown workflow to read", ["/v1/workflows/nobody", {}], 404, "workflow_not_found"],
  ["a cancel of an unknown task", [`/v1/tasks/${missing}:cancel`, { body: {} }], 404, "task_not_found"],
  ["a retry of an unknown task", [`/v1/tasks/${missing}:retry`, { body: {} }], 404, "task_not_found"],
  ["an unknown verb of a task", [`/v1/tasks/${missing}:explode`, { body: {} }], 404, "not_found"],
  ["no ids to read", ["/v1/tasks:batchGet", { body: { ids: [] } }], 400, "invalid_argument", /ids/],
  [
    "too many ids",
    ["/v1/tasks:batchGet", { body: { ids: Array.from({ length: 501 }, () => missing) } }],
    400,
    "invalid_argument",
    /ids|500/,
  ],
  ["ids that are no text", ["/v1/tasks:batchCancel", { body: { ids: [1] } }], 400, "invalid_argument", /ids/],
  ["a method that the path lacks", ["/v1/tasks", { method: "DELETE" }], 405, "invalid_argument", /GET|POST/],
  ["a path that does not exist", ["/v2/tasks", {}], 404, "not_found"],
  ["a path that climbs", ["/v1/workflows/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}], 404, "not_found"],
  ["a path that is not encoded right", ["/v1/tasks/%zz", {}], 400, "invalid_argument"],
  ["a NUL in the path", ["/v1/workflows/a%00b", {}], 400, "invalid_argument"],
];

/** Bytes that no client library would send, and the status they deserve. */
const raw: readonly (readonly [what: string, bytes: string, status: readonly number[]])[] = [
  ["no HTTP at all", "hello there\r\n\r\n", [400]],
  ["a header without a colon", "GET /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\nbroken\r\n\r\n", [400]],
  ["a control character in a header", "GET /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: \x01\x02\r\n\r\n", [400]],
  ["headers without end", `GET /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ${"a".repeat(40_000)}\r\n\r\n`, [431]],
  [
    "both lengths",
    "POST /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    [400],
  ],
  ["a length that is no number", "POST /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: five\r\n\r\n", [400]],
  ["a space in the path", "GET /v1/ta sks HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", [400]],
  ["a method that nobody knows", "EXPLODE /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", [400, 405]],
  ["no host", "GET /v1/tasks HTTP/1.1\r\nconnection: close\r\n\r\n", [400, 403]],
];

function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    let got = "";
    socket.setEncoding("latin1").setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    socket.on("data", (chunk) => {
      got += String(chunk);
      if (got.includes("\r\n\r\n")) socket.end();
    });
    socket.on("error", (why) => (got === "" ? reject(why) : resolve(got)));
    socket.on("close", () => resolve(got));
  });
}

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start({ env: { MAX_BODY_BYTES: "131072" } }));

  async function stored(): Promise<string> {
    const workflows = (await at.api.call("/v1/workflows?pageSize=500")).json<{
      workflows: { name: string; revision: number }[];
    }>();
    return JSON.stringify([
      (await at.api.list("pageSize=500")).map((task) => [task.id, task.version]),
      workflows.workflows.map((one) => [one.name, one.revision]),
    ]);
  }

  beforeAll(async () => {
    await at.api.put({
      name: "good",
      input: { type: "object", required: ["n"], properties: { n: { type: "integer" } } },
      nodes: [node({ with: { n: "${ input.n }" } })],
    } as never);
    await at.api.ended((await at.api.submit(valid)).id);
  });

  test.each(cases.map((one) => ({ what: one[0], one })))(
    "$what is refused with a clear problem and changes nothing",
    async ({ one }) => {
      const [, [path, sent], status, code, detail] = one;
      const before = await stored();
      const reply = await at.api.call(path, sent);
      expect([reply.status, reply.headers["content-type"]], reply.text).toEqual([status, "application/problem+json"]);
      const problem = reply.json<Problem>();
      expect(problem).toMatchObject({ status, code });
      expect(problem.title.length).toBeGreaterThan(3);
      const said = JSON.stringify([problem.detail, problem.errors]);
      expect(problem.detail.length).toBeGreaterThan(10);
      if (detail) expect(said).toMatch(detail);
      for (const fault of problem.errors ?? []) expect(fault.pointer).toMatch(/^$|^\//);
      expect(reply.text).not.toMatch(/node_modules|at .*\.(js|ts):\d+|Error:/);
      expect(await stored()).toBe(before);
    },
  );

  test.each(raw)("%s is refused on the wire and changes nothing", async (_what, bytes, statuses) => {
    const before = await stored();
    const answer = await sendRaw(at.system.port, bytes);
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
    expect(statuses, answer.slice(0, 400)).toContain(status);
    expect(answer).toMatch(/application\/problem\+json/);
    expect(await stored()).toBe(before);
  });

  test("a definition with many faults names every one with its node, its place and its mend", async () => {
    const definition = {
      name: "bad",
      nodes: [
        node({ id: "a", needs: ["nowhere"] }),
        node({ id: "b", with: { v: "${ 1 + }" } }),
        { id: "c", kind: "http", with: {} },
      ],
    };
    const before = await stored();
    const [path, sent] = put(definition);
    const refused = (await at.api.call(path, sent)).json<Problem>();
    const validated = (await at.api.call("/v1/workflows:validate", { body: definition })).json<{
      valid: boolean;
      errors: { node: string; pointer: string; message: string; mend: string }[];
    }>();
    expect(validated.valid).toBe(false);
    expect(new Set(validated.errors.map((one) => one.node))).toEqual(new Set(["a", "b", "c"]));
    for (const one of validated.errors) {
      expect(one.pointer).toMatch(/^\/nodes\/\d/);
      expect(one.mend.length).toBeGreaterThan(5);
    }
    expect(refused.errors?.map((one) => one.pointer)).toEqual(validated.errors.map((one) => one.pointer));
    for (const one of refused.errors ?? []) expect([one.node, one.mend].every(Boolean), JSON.stringify(one)).toBe(true);
    expect(await stored()).toBe(before);
  });

  test("after all of this the service still works", async () => {
    expect(await at.api.ended((await at.api.submit(valid)).id)).toMatchObject({ state: "succeeded" });
    for (const one of at.system.services) expect(one.output()).not.toMatch(/"level":"error"/);
  });
});
