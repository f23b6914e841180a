import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Api, api, type Json, type Problem, type Sent, type TaskView } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { solo } from "./src/system.ts";

// Two projects of one Longhaul that others can reach, so that nothing of the machine itself is allowed to nodes. Everything here is done by `red`.
const keys = { red: "lh_red_0123456789abcdef", blue: "lh_blue_0123456789abcdef" };
/** What belongs to the other project, and to the process; it must not be in any answer to `red`. */
const marker = "blue-marker-5f1e";
const canary = "canary-of-the-environment";
const secretKey = Buffer.alloc(32, 0x5a).toString("base64");
const forbidden = [marker, canary, secretKey, secretKey.slice(0, 12), "root:", keys.blue];

const at = stage(() =>
  solo({
    env: {
      HOST: "0.0.0.0",
      API_KEYS: `red=${keys.red},blue=${keys.blue}`,
      SECRET_KEY: secretKey,
      CANARY: canary,
    },
  }),
);

const made: { red?: Api; blue?: Api } = {};
const there = (name: "red" | "blue"): Api => {
  const found = made[name];
  if (found === undefined) throw new Error("the tests have not begun");
  return found;
};
/** All that `red` was told. */
const said: string[] = [];
const other = { done: "", waiting: "", failed: "", child: "", token: "", delivery: "" };

/** Notes every answer, so that none goes by unread. */
async function ask(path: string, sent?: Sent): ReturnType<Api["call"]> {
  const reply = await there("red").call(path, sent);
  said.push(reply.text, JSON.stringify(reply.headers));
  return reply;
}

async function refused(path: string, sent?: Sent): Promise<Problem & { readonly text: string }> {
  const reply = await ask(path, sent);
  expect(reply.status, `${path}: ${reply.text}`).toBeGreaterThanOrEqual(400);
  expect(reply.status, `${path}: ${reply.text}`).toBeLessThan(500);
  const problem = reply.json<Problem>();
  expect(problem.detail.length, reply.text).toBeGreaterThan(10);
  return { ...problem, text: reply.text };
}

/** Runs nodes as a workflow of `red`; everything of the task that can be read is noted. */
async function run(nodes: readonly Json[], more: { readonly input?: Json; readonly output?: Json } = {}): Promise<TaskView> {
  const name = `hostile-${randomUUID()}`;
  const put = await ask(`/v1/workflows/${name}`, {
    method: "PUT",
    body: { name, nodes, ...(more.output === undefined ? {} : { output: more.output }) },
  });
  expect(put.status, put.text).toBe(200);
  const { id } = await there("red").submit({ workflow: name, input: more.input ?? {} });
  const task = await there("red").ended(id);
  await ask(`/v1/tasks/${id}`);
  await ask(`/v1/tasks/${id}/nodes`);
  return task;
}

beforeAll(async () => {
  made.red = api(at.system.url, { key: keys.red });
  made.blue = api(at.system.url, { key: keys.blue });
  const blue = there("blue");
  const secret = await blue.call("/v1/secrets/TOKEN", { method: "PUT", body: { value: `${marker}-of-a-secret` } });
  const connection = await blue.call("/v1/connections/shared", {
    method: "PUT",
    body: { baseUrl: `https://${marker}.example/v1`, apiKey: `${marker}-of-a-connection` },
  });
  expect([secret.status, connection.status]).toEqual([200, 200]);
  const keep = { v: "${ input.v }" };
  await blue.put({ name: "vault", description: marker, nodes: [{ id: "keep", kind: "transform", with: keep }] });
  await blue.put({ name: "ask", nodes: [{ id: "go", kind: "signal", with: { name: "go" } }] });
  await blue.put({ name: "breaks", nodes: [{ id: "x", kind: "transform", with: "${ input.nothing }" }] });
  await blue.put({ name: "above", nodes: [{ id: "k", kind: "workflow", with: { name: "ask", input: { v: marker } } }] });
  const schedule = await blue.call("/v1/schedules/nightly", {
    method: "PUT",
    body: { workflow: "vault", input: { v: marker }, cron: "0 3 * * *" },
  });
  expect(schedule.status, schedule.text).toBe(200);
  const webhook = { url: "https://receiver.invalid/", secret: marker };
  const more = { labels: { who: marker }, webhook };
  other.done = (await blue.submit({ workflow: "vault", input: { v: marker }, ...more }, { "idempotency-key": "one" })).id;
  other.failed = (await blue.submit({ workflow: "breaks", input: { v: marker } })).id;
  other.waiting = (await blue.submit({ workflow: "ask", input: { v: marker } })).id;
  const above = await blue.submit({ workflow: "above", input: { v: marker } });
  await blue.when(above.id, ({ state }) => state === "waiting");
  other.child = (await blue.list("workflow=ask")).find(({ id }) => id !== other.waiting)?.id ?? "";
  expect(await blue.ended(other.done)).toMatchObject({ state: "succeeded", output: { keep: { v: marker } } });
  expect(await blue.ended(other.failed)).toMatchObject({ state: "failed" });
  await blue.when(other.waiting, ({ state }) => state === "waiting");
  const link = await blue.call(`/v1/tasks/${other.waiting}:resumeLink`, { body: { node: "go" } });
  other.token = link.json<{ readonly token: string }>().token;
  other.delivery = `${other.done}.task.succeeded`;
  expect((await blue.call(`/v1/deliveries/${other.delivery}`)).status).toBe(200);
});

afterAll(async () => {
  await Promise.all([made.red?.close(), made.blue?.close()]);
});

test("a task of another project cannot be read, followed, cancelled, retried, signalled or linked by its id", async () => {
  for (const id of [other.done, other.failed, other.waiting, other.child]) {
    for (const path of [`/v1/tasks/${id}`, `/v1/tasks/${id}/nodes`, `/v1/tasks/${id}/events`]) {
      expect(await refused(path)).toMatchObject({ status: 404, code: "task_not_found" });
    }
    for (const verb of ["cancel", "retry"]) {
      expect(await refused(`/v1/tasks/${id}:${verb}`, { body: {} })).toMatchObject({ status: 404, code: "task_not_found" });
    }
    for (const body of [{ node: "go" }, { name: "go" }]) {
      expect(await refused(`/v1/tasks/${id}:signal`, { body: { ...body, payload: 1 } })).toMatchObject({ status: 404 });
    }
    expect(await refused(`/v1/tasks/${id}:resumeLink`, { body: { node: "go" } })).toMatchObject({ status: 404 });
  }
  const ids = Object.values(other).slice(0, 4);
  for (const verb of ["batchGet", "batchCancel"]) {
    expect((await ask(`/v1/tasks:${verb}`, { body: { ids } })).json()).toMatchObject({ tasks: [], missing: ids });
  }
  const deliveries = await ask(`/v1/tasks/${other.done}/deliveries`);
  if (deliveries.status === 200) expect(deliveries.json()).toMatchObject({ deliveries: [] });
  expect((await refused(`/v1/deliveries/${other.delivery}`)).status).toBe(404);
  expect((await refused(`/v1/deliveries/${other.delivery}:replay`, { body: {} })).status).toBe(404);
});

test("lists, searches and idempotency keys know nothing of another project", async () => {
  for (const query of [`q=${marker}`, `q=${other.done}`, `label.who=${marker}`, "workflow=vault", "workflow=ask"]) {
    expect((await ask(`/v1/tasks?${query}`)).json()).toMatchObject({ tasks: [] });
  }
  for (const [path, name] of [
    ["/v1/secrets", "secrets"],
    ["/v1/connections", "connections"],
    ["/v1/schedules", "schedules"],
  ] as const) {
    expect((await ask(path)).json()).toMatchObject({ [name]: [] });
  }
  expect((await ask("/v1/workflows")).text).not.toMatch(/vault|above|breaks/);
  // The same key of the same workflow name is another task.
  await there("red").put({ name: "vault", nodes: [{ id: "own", kind: "transform", with: 1 }] });
  const own = await ask("/v1/tasks", { body: { workflow: "vault", input: {} }, headers: { "idempotency-key": "one" } });
  expect(own.json<TaskView>().id).not.toBe(other.done);
  expect(await there("red").ended(own.json<TaskView>().id)).toMatchObject({ project: "red", output: { own: 1 } });
  expect((await there("blue").call("/v1/workflows/vault")).json()).toMatchObject({ revision: 1 });
});

test("workflows, secrets, connections and schedules of another project cannot be read, changed, used or removed by name", async () => {
  const answers = [
    await refused("/v1/workflows/ask"),
    await refused("/v1/workflows/ask/revisions"),
    await refused("/v1/workflows/ask/revisions/1"),
    await refused("/v1/workflows/ask:disable", { method: "POST" }),
    await refused("/v1/workflows/ask", { method: "DELETE" }),
    await refused("/v1/connections/shared"),
    await refused("/v1/connections/shared", { method: "DELETE" }),
    await refused("/v1/secrets/TOKEN", { method: "DELETE" }),
    await refused("/v1/schedules/nightly"),
    await refused("/v1/schedules/nightly", { method: "DELETE" }),
    await refused("/v1/schedules/nightly:pause", { method: "POST" }),
    await refused("/v1/schedules/nightly:runNow", { method: "POST" }),
    await refused("/v1/tasks", { body: { workflow: "ask", input: {} } }),
    await refused("/v1/schedules/mine", { method: "PUT", body: { workflow: "ask", input: {}, interval: "3600s" } }),
  ];
  expect(answers.filter(({ status }) => status !== 404).map(({ text }) => text)).toEqual([]);
  const workflow = (await there("blue").call("/v1/workflows/ask")).json<{ readonly uid: string; readonly enabled: boolean }>();
  expect(workflow.enabled).toBe(true);
  for (const name of [workflow.uid, "blue/ask", "../blue/ask", "blue.ask", "blue:ask"]) {
    const reply = await refused("/v1/tasks", { body: { workflow: name, input: {} } });
    expect([400, 404]).toContain(reply.status);
  }
  // What a caller says of its project counts for nothing.
  for (const headers of [{ "longhaul-project": "blue" }, { "x-longhaul-project": "blue" }, { "x-api-key": keys.blue }] as const) {
    const reply = await refused(`/v1/tasks/${other.done}`, { headers });
    expect([401, 404]).toContain(reply.status);
  }
  expect(await refused("/v1/tasks", { body: { workflow: "vault", input: {}, project: "blue" } })).toMatchObject({ status: 400 });
  expect(await refused("/v1/tasks", { body: { workflow: "vault", input: {}, retryOf: other.failed } })).toMatchObject({
    status: 400,
  });
});

test("a child cannot be of another project, by whatever name", async () => {
  for (const name of ["ask", "above", "blue/ask", "../blue/ask", other.waiting]) {
    const task = await run([{ id: "k", kind: "workflow", with: { name: `\${ '${name}' }`, input: {} } }]);
    expect(task).toMatchObject({ state: "failed", error: { node: "k" } });
  }
  expect((await there("blue").list("workflow=ask")).length).toBe(2);
});

test("a secret or a connection of another project is not there", async () => {
  const secret = await run([{ id: "x", kind: "transform", with: { v: "${ secrets.TOKEN }" } }]);
  expect(secret).toMatchObject({ state: "failed", error: { message: expect.stringContaining("TOKEN") } });
  const asked = await run([{ id: "x", kind: "transform", with: { v: "${ has(secrets.TOKEN) }" } }]);
  expect(asked.output).toEqual({ x: { v: false } });
  for (const expression of ["secrets", "secrets[input.name]", "secrets.map(k, k)", "secrets['TOK' + 'EN']"]) {
    const put = await refused("/v1/workflows/s", {
      method: "PUT",
      body: { name: "s", nodes: [{ id: "x", kind: "transform", with: { v: `\${ ${expression} }` } }] },
    });
    expect([put.status, put.code]).toEqual([400, "invalid_argument"]);
  }
  if ((await ask("/v1/workflow-schema")).text.includes('"llm"')) {
    const messages = [{ role: "user", content: "who are you?" }];
    const task = await run([{ id: "x", kind: "llm", with: { connection: "shared", model: "m", messages } }]);
    expect(task).toMatchObject({ state: "failed", error: { details: { code: "connection_not_found" } } });
  }
});

test("a worker is given no job of another project, can answer none, and limits are one's own", async () => {
  const blue = there("blue");
  await blue.put({
    name: "remote",
    limits: { concurrency: 3 },
    nodes: [{ id: "f", kind: "worker", with: { function: "f", input: { v: marker } } }],
  });
  const { id } = await blue.submit({ workflow: "remote", input: {} });
  await blue.when(id, ({ state }) => state === "waiting");
  const functions = [{ name: "f", capacity: 10 }];
  const nothing = await ask("/v1/workers:poll", { body: { worker: "of red", functions } });
  expect([nothing.status, nothing.json()]).toEqual([200, { jobs: [] }]);

  const polled = await blue.call("/v1/workers:poll", { body: { worker: "of blue", functions, wait: "10s" } });
  const [job] = polled.json<{ readonly jobs: readonly { readonly id: string; readonly fence: number }[] }>().jobs;
  if (job === undefined) throw new Error(`there is no job: ${polled.text}`);
  const { fence } = job;
  expect(await refused(`/v1/jobs/${job.id}:complete`, { body: { fence, output: 1 } })).toMatchObject({ status: 404 });
  expect(await refused(`/v1/jobs/${job.id}:fail`, { body: { fence, error: { message: "no" } } })).toMatchObject({ status: 404 });
  expect(await refused(`/v1/jobs/${job.id}:log`, { body: { fence, lines: ["no"] } })).toMatchObject({ status: 404 });
  const hold = { jobs: [{ id: job.id, fence }] };
  for (const verb of ["heartbeat", "release"]) {
    const { jobs } = (await ask(`/v1/workers:${verb}`, { body: hold })).json<{ readonly jobs: readonly { verdict: string }[] }>();
    expect(["cancelled", "lost"]).toContain(jobs[0]?.verdict);
  }
  expect((await refused("/v1/limits/workflow:remote")).status).toBe(404);
  expect((await ask("/v1/limits")).text).not.toContain("remote");
  expect((await blue.call(`/v1/jobs/${job.id}:complete`, { body: { fence, output: 2 } })).status).toBe(200);
  expect(await blue.ended(id)).toMatchObject({ state: "succeeded", output: { f: 2 } });
});

test("a result that another project keeps under the same key of the same workflow is not found", async () => {
  const definition = {
    name: "cached",
    nodes: [
      {
        id: "x",
        kind: "code",
        cache: { key: "k", ttl: "1h" },
        with: { source: "export default (v) => v", input: "${ input.v }" },
      },
    ],
  };
  for (const one of ["blue", "red"] as const) await there(one).put(definition);
  const runAs = async (one: "blue" | "red", v: string) =>
    (await there(one).ended((await there(one).submit({ workflow: "cached", input: { v } })).id)).output;
  expect(await runAs("blue", marker)).toEqual({ x: marker });
  // From now on blue has it from the cache.
  await expect.poll(() => runAs("blue", "another"), { timeout: 10_000 }).toEqual({ x: marker });
  expect(await runAs("red", "mine")).toEqual({ x: "mine" });
});

test("a link of another project's task cannot be made from one's own, or from its own with a bit changed", async () => {
  await there("red").put({ name: "mine", nodes: [{ id: "go", kind: "signal", with: { name: "go" } }] });
  const { id } = await there("red").submit({ workflow: "mine", input: {} });
  const link = (await ask(`/v1/tasks/${id}:resumeLink`, { body: { node: "go" } })).json<{ readonly token: string }>();
  const mine = Buffer.from(link.token, "base64url");
  const theirs = Buffer.from(other.token, "base64url");
  const uuid = Buffer.from(id.replaceAll("-", ""), "hex");
  const from = mine.indexOf(uuid);
  expect(from).toBeGreaterThanOrEqual(0);
  const forged = [Buffer.from(mine)];
  forged[0]?.set(Buffer.from(other.waiting.replaceAll("-", ""), "hex"), from);
  for (let cut = 1; cut < theirs.length; cut += 5) forged.push(Buffer.concat([theirs.subarray(0, cut), mine.subarray(cut)]));
  for (let byte = 0; byte < theirs.length; byte++) {
    const changed = Buffer.from(theirs);
    changed[byte] = (changed[byte] ?? 0) ^ 1;
    forged.push(changed);
  }
  for (const bytes of forged.filter((one) => !one.equals(mine) && !one.equals(theirs))) {
    const reply = await ask(`/v1/resume/${bytes.toString("base64url")}`, { body: { v: 1 } });
    expect([400, 404, 410], `${bytes.toString("base64url")}: ${reply.text}`).toContain(reply.status);
  }
  expect(await there("blue").get(other.waiting)).toMatchObject({ state: "waiting" });
});

/** Each is JavaScript whose value must be undefined, or which must throw. */
const codeTricks = [
  "process",
  "require",
  "module",
  "globalThis.process",
  "globalThis.constructor.constructor('return process')()",
  "(() => {}).constructor('return this.process')()",
  "(async () => {}).constructor('return process')()",
  "Object.getPrototypeOf(function* () {}).constructor('return process')().next().value",
  "eval('process')",
  "new Function('return require')()",
  "input.constructor.constructor('return process.env')()",
  "console.log.constructor('return process')()",
  "console.constructor.constructor('return process')()",
  "Error.prepareStackTrace && Error.prepareStackTrace(new Error(), [])[0].getThis()",
  "fetch",
  "XMLHttpRequest",
  "WebSocket",
  "Worker",
  "SharedArrayBuffer && new SharedArrayBuffer(8) && process",
  "WebAssembly",
  "std",
  "os",
  "std.getenv('CANARY')",
  "std.loadFile('/etc/passwd')",
  "globalThis.scriptArgs",
  "navigator",
  "performance",
  "setTimeout",
  "postMessage",
  "parentPort",
  "Deno",
  "Bun",
  "__dirname",
  "import.meta.url && process",
  "import.meta.resolve && import.meta.resolve('fs')",
];

test("code reaches no process, file, environment or network", async () => {
  const tries = codeTricks.map(
    (trick, i) => `try { got[${i}] = typeof (await (${trick})); } catch (why) { got[${i}] = "threw"; }`,
  );
  const source = `export default async (input) => { const got = []; ${tries.join("\n")} return got; }`;
  const task = await run([{ id: "x", kind: "code", with: { source, input: {} } }], { output: "${ nodes.x }" });
  expect(task.state, JSON.stringify(task.error)).toBe("succeeded");
  const got = task.output as readonly string[];
  expect(codeTricks.filter((_, i) => got[i] !== "undefined" && got[i] !== "threw")).toEqual([]);
});

test.each([
  "import fs from 'node:fs'; export default () => fs.readFileSync('/etc/passwd', 'utf8');",
  "import * as std from 'std'; export default () => std.loadFile('/etc/passwd');",
  "import x from 'file:///etc/passwd'; export default () => x;",
  "export { readFileSync as default } from 'fs';",
])("code that imports is refused when it is put: %s", async (source) => {
  const put = await refused("/v1/workflows/c", {
    method: "PUT",
    body: { name: "c", nodes: [{ id: "x", kind: "code", with: { source } }] },
  });
  expect([put.status, put.code]).toEqual([400, "invalid_argument"]);
});

test.each([
  "export default async () => (await import('node:fs')).readFileSync('/etc/passwd', 'utf8');",
  "export default async () => Object.keys(await import('std'));",
  "export default async () => import('../../../package.json');",
  "export default () => { throw new Error(globalThis.process.env.CANARY); };",
])("code that imports while it runs, or throws what it has not, fails: %s", async (source) => {
  const task = await run([{ id: "x", kind: "code", with: { source } }]);
  expect(task).toMatchObject({ state: "failed", error: { node: "x" } });
});

test("code leaves nothing behind for code of another project, and a stack shows nothing of the machine", async () => {
  const leave = `export default (v) => {
    for (const target of [globalThis, Object.prototype, Array.prototype, Function.prototype, JSON, Math]) target.left = v;
    JSON.stringify = () => v; Array.prototype.push = () => v; Object.prototype.toJSON = () => v;
    return 1;
  }`;
  await there("blue").put({
    name: "leave",
    nodes: [{ id: "x", kind: "code", onError: "continue", with: { source: leave, input: "${ input.v }" } }],
  });
  for (let i = 0; i < 10; i++)
    await there("blue").ended((await there("blue").submit({ workflow: "leave", input: { v: marker } })).id);
  const look = `export default () => ({
    left: [globalThis, Object.prototype, Array.prototype, Function.prototype, JSON, Math].map((target) => String(target.left)),
    stack: String(new Error("here").stack),
  })`;
  for (let i = 0; i < 10; i++) {
    const { output } = await run([{ id: "x", kind: "code", with: { source: look } }], { output: "${ nodes.x }" });
    expect(output).toMatchObject({ left: Array(6).fill("undefined") });
    expect(JSON.stringify(output)).not.toMatch(/node_modules|file:|\/(?:work|home|usr|root|tmp)\//);
  }
});

test.each([
  "input.constructor",
  "input.__proto__",
  "input['__proto__']",
  "input['constructor']['constructor']('return process')()",
  "input.toString()",
  "task.constructor",
  "task.__proto__.polluted",
  "nodes.__proto__",
  "nodes['constructor']",
  "''.constructor",
  "'a'.constructor.constructor('return process')()",
  "[].map.constructor",
  "[1].constructor",
  "size.constructor",
  "process",
  "process.env.CANARY",
  "env",
  "env('CANARY')",
  "globalThis",
  "this",
  "global",
  "require('fs')",
  "import('fs')",
  "eval('1')",
  "Function('return process')()",
  "input.valueOf",
  "input.hasOwnProperty('x')",
  "{'a': 1}.__proto__",
  "{'a': 1}.constructor",
  "dyn(input).constructor",
  "duration('1s').constructor",
  "timestamp('2026-01-01T00:00:00Z').getTime.constructor",
  "errors.constructor",
  "project",
])("an expression reaches nothing but values: %s", async (expression) => {
  const nodes = [{ id: "x", kind: "transform", with: { v: `\${ ${expression} }` } }];
  const put = await ask("/v1/workflows/cel", { method: "PUT", body: { name: "cel", nodes } });
  if (put.status !== 200) {
    expect(put.json()).toMatchObject({ status: 400, code: "invalid_argument", errors: [{ node: "x" }] });
    return;
  }
  const task = await run(nodes, { input: { a: 1 } });
  expect(task, JSON.stringify(task.output)).toMatchObject({ state: "failed", error: { code: "node_failed", node: "x" } });
});

test("keys that pollute elsewhere are keys like others", async () => {
  const input = JSON.parse('{ "__proto__": { "polluted": true }, "constructor": { "prototype": { "polluted": true } } }');
  const polluting = await run(
    [
      { id: "x", kind: "transform", with: "${ input }" },
      {
        id: "c",
        kind: "code",
        with: { source: "export default (v) => ({ v, polluted: ({}).polluted === true })", input: "${ input }" },
      },
    ],
    { input },
  );
  expect(polluting.state).toBe("succeeded");
  const after = await run([
    { id: "x", kind: "transform", with: { v: "${ has(input.polluted) }", a: "${ has({'a': 1}.polluted) }" } },
  ]);
  expect(after.output).toEqual({ x: { v: false, a: false } });
});

const local = (port: string): readonly string[] => [
  `http://127.0.0.1:${port}/`,
  `http://localhost:${port}/`,
  `http://[::1]:${port}/`,
  `http://0.0.0.0:${port}/`,
  `http://[::ffff:127.0.0.1]:${port}/`,
  `http://2130706433:${port}/`,
  `http://0x7f000001:${port}/`,
  `http://127.1:${port}/`,
  `http://017700000001:${port}/`,
  "http://169.254.169.254/latest/meta-data/",
  "http://[fd00:ec2::254]/",
  "http://10.0.0.1/",
  "http://192.168.0.1/",
];

test("a node calls nothing on the machine or in its network, itself included", async () => {
  const ports = [new URL(at.outside.url).port, String(at.system.port)];
  for (const url of ports.flatMap(local)) {
    const task = await run([{ id: "x", kind: "http", with: { url: `\${ '${url}' }` }, timeout: "5s" }]);
    expect(task, url).toMatchObject({ state: "failed", error: { details: { code: "http_forbidden_address" } } });
  }
  for (const url of [
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "data:text/plain,hello",
    "unix:/var/run/docker.sock",
    "javascript:1",
  ]) {
    const put = await refused("/v1/workflows/h", {
      method: "PUT",
      body: { name: "h", nodes: [{ id: "x", kind: "http", with: { url } }] },
    });
    expect([put.status, put.code]).toEqual([400, "invalid_argument"]);
    const task = await run([{ id: "x", kind: "http", with: { url: `\${ '${url}' }` } }]);
    expect(task, url).toMatchObject({ state: "failed", error: { node: "x" } });
  }
  expect(at.outside.calls).toEqual([]);
});

test("nothing of the other project or of the process is in any answer, and the other project is as it was", async () => {
  for (const task of await there("red").list()) said.push(JSON.stringify(task));
  const all = said.join("\n");
  expect(forbidden.filter((text) => all.includes(text))).toEqual([]);
  const blue = there("blue");
  expect(await blue.get(other.waiting)).toMatchObject({ state: "waiting" });
  expect((await blue.call("/v1/secrets")).text).toContain("TOKEN");
  expect((await blue.call("/v1/connections/shared")).status).toBe(200);
  expect((await blue.call("/v1/schedules/nightly")).json()).toMatchObject({ paused: false });
  // The link is still good: none of the forged ones used it up.
  expect((await blue.call(`/v1/resume/${other.token}`, { body: 1 })).status).toBe(200);
  expect(await blue.ended(other.waiting)).toMatchObject({ state: "succeeded" });
});
