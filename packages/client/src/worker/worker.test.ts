import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runParts, silentLogger } from "@longhaul/shared";
import { wire } from "@longhaul/solo";
import { freePort } from "@longhaul/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ApiError, JobError, type Worker, type WorkerOptions, worker } from "../index.ts";

interface TaskView {
  readonly id: string;
  readonly state: string;
  readonly output: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly details?: unknown };
}

let url: string;
let ran: Promise<void>;
const quit = new AbortController();
const dataDir = mkdtempSync(join(tmpdir(), "longhaul-client-"));
const started: Worker[] = [];

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const env = { PORT: String(port), DATA_DIR: dataDir, LOG_LEVEL: "error", LEASE_MS: "1500", SWEEP_MS: "100" };
  const running = await wire(env);
  await new Promise<void>((resolve, reject) => {
    ran = runParts(running.parts, {
      quit: quit.signal,
      drainMs: 2_000,
      log: silentLogger,
      ...(running.ready && { ready: running.ready }),
      onStarted: () => resolve(),
    });
    ran.catch(reject);
  });
  await put("call", { kind: "worker", with: { function: "${ input.function }", input: "${ input.data }" } });
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((one) => one.stop({ drainMs: 0 })));
});
afterAll(async () => {
  quit.abort();
  await ran;
  rmSync(dataDir, { recursive: true, force: true });
});

async function http<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}
async function put(name: string, node: object): Promise<void> {
  await http("PUT", `/v1/workflows/${name}`, { name, nodes: [{ id: "f", ...node }], output: "${ nodes.f }" });
}
const submit = async (name: string, data: unknown = null): Promise<string> =>
  (await http<TaskView>("POST", "/v1/tasks", { workflow: "call", input: { function: name, data } })).id;
async function ended(id: string): Promise<TaskView> {
  const headers = { prefer: "wait=20" };
  return (await (await fetch(`${url}/v1/tasks/${id}`, { headers })).json()) as TaskView;
}
async function serve(functions: WorkerOptions["functions"], more: Partial<WorkerOptions> = {}): Promise<Worker> {
  const one = worker({ url, functions, ...more });
  started.push(one);
  await one.start();
  return one;
}
function deferred<T = void>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

test("a function's answer is the node's output; jobs that were there before the worker are done as well", async () => {
  const early = await submit("double", 4);
  await serve({ double: { handler: (input) => Number(input) * 2 }, none: { handler: () => undefined } });
  expect(await ended(early)).toMatchObject({ state: "succeeded", output: 8 });
  expect(await ended(await submit("double", 5))).toMatchObject({ output: 10 });
  expect(await ended(await submit("none"))).toMatchObject({ state: "succeeded", output: null });
});

test("what a function throws is the node's failure", async () => {
  await serve({
    known: {
      handler: () => {
        throw new JobError("bad_image", "no pixels", { details: { at: 3 } });
      },
    },
    unknown: {
      handler: () => {
        throw new Error("oh");
      },
    },
  });
  expect((await ended(await submit("known"))).error).toMatchObject({
    code: "node_failed",
    message: "no pixels",
    details: { code: "bad_image", cause: { at: 3 } },
  });
  expect((await ended(await submit("unknown"))).error).toMatchObject({ message: "oh", details: { code: "function_failed" } });
});

test("a failure that may pass is tried again as the node says", async () => {
  await put("patient", { kind: "worker", with: { function: "shaky" }, retry: { attempts: 3, delay: "1ms" } });
  const tries: string[] = [];
  await serve({
    shaky: {
      handler: (_, { id }) => {
        tries.push(id);
        if (tries.length < 3) throw new JobError("busy", "later", { retryable: true });
        return tries.length;
      },
    },
  });
  const { id } = await http<TaskView>("POST", "/v1/tasks", { workflow: "patient", input: {} });
  expect(await ended(id)).toMatchObject({ state: "succeeded", output: 3 });
  expect(new Set(tries).size).toBe(3);
});

test("no more jobs run side by side than a function takes, and all of them are done", async () => {
  let now = 0;
  let most = 0;
  const gate = deferred();
  const both = deferred();
  await serve({
    two: {
      concurrency: 2,
      handler: async () => {
        most = Math.max(most, ++now);
        if (now === 2) both.resolve();
        await gate.promise;
        now--;
      },
    },
  });
  const ids = await Promise.all(Array.from({ length: 7 }, () => submit("two")));
  await both.promise;
  gate.resolve();
  for (const id of ids) expect(await ended(id)).toMatchObject({ state: "succeeded" });
  expect(most).toBe(2);
});

test("a function that takes longer than its lease keeps it by heartbeats", async () => {
  let calls = 0;
  await serve({
    slow: {
      handler: async (_, { signal }) => {
        calls++;
        await new Promise((resolve) => setTimeout(resolve, 3_500));
        return signal.aborted;
      },
    },
  });
  expect(await ended(await submit("slow"))).toMatchObject({ state: "succeeded", output: false });
  expect(calls).toBe(1);
});

test("a cancelled task stops its function within a second", async () => {
  const begun = deferred();
  const stopped = deferred<number>();
  await serve({
    endless: {
      handler: (_, { signal }) => {
        begun.resolve();
        return new Promise((resolve) =>
          signal.addEventListener("abort", () => {
            stopped.resolve(performance.now());
            resolve(1);
          }),
        );
      },
    },
  });
  const id = await submit("endless");
  await begun.promise;
  const at = performance.now();
  await http("POST", `/v1/tasks/${id}:cancel`, {});
  expect((await stopped.promise) - at).toBeLessThan(1_000);
  expect(await ended(id)).toMatchObject({ state: "cancelled" });
});

test("a worker that stops finishes what it can and gives the rest back, without a try used up", async () => {
  const [quick, stuck] = [deferred(), deferred()];
  const go = deferred();
  const first = await serve({
    quick: {
      handler: async () => {
        quick.resolve();
        await go.promise;
        return "done";
      },
    },
    stuck: {
      handler: () => {
        stuck.resolve();
        return new Promise<never>(() => {});
      },
    },
  });
  const ids = [await submit("quick"), await submit("stuck")];
  await Promise.all([quick.promise, stuck.promise]);
  expect(first.running).toBe(2);
  const stopping = first.stop({ drainMs: 1_000 });
  go.resolve();
  await stopping;
  expect(first.running).toBe(0);
  expect(await ended(ids[0] ?? "")).toMatchObject({ output: "done" });
  await serve({ stuck: { handler: (_, { tries }) => tries } });
  expect(await ended(ids[1] ?? "")).toMatchObject({ state: "succeeded", output: 1 });
});

test("what a function says is shown while it runs, and its log is kept with the node", async () => {
  const [watched, seen] = [deferred(), deferred()];
  await serve({
    chatty: {
      handler: async (_, { log, progress }) => {
        log("begun");
        await watched.promise;
        progress({ percent: 50 });
        await seen.promise;
        log("ended");
      },
    },
  });
  const id = await submit("chatty");
  const response = await fetch(`${url}/v1/tasks/${id}/events`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    text += next.value;
    // The first event is the present state: from then on everything is heard.
    if (text.includes("event: task")) watched.resolve();
    if (text.includes('"percent"')) break;
  }
  expect(text).toMatch(/event: progress\s+data: .*"node":"f".*"percent":50/);
  seen.resolve();
  await reader?.cancel();
  expect(await ended(id)).toMatchObject({ state: "succeeded" });
  const { nodes } = await http<{ nodes: { log: { line: string }[] }[] }>("GET", `/v1/tasks/${id}/nodes`);
  expect(nodes[0]?.log.map(({ line }) => line)).toEqual(["begun", "ended"]);
});

test("an output that is refused fails the node and says why", async () => {
  await serve({ large: { handler: () => "x".repeat(17 * 1_048_576) } });
  expect((await ended(await submit("large"))).error).toMatchObject({ details: { code: "output_refused" } });
});

test("a worker that the server refuses does not start", async () => {
  const one = worker({ url, functions: { "no/name": { handler: () => 1 } } });
  await expect(one.start()).rejects.toMatchObject({ status: 400, code: "invalid_argument" });
});

test("a server that is away is waited for, and heard of", async () => {
  const port = await freePort();
  const errors: unknown[] = [];
  const heard = deferred();
  const one = worker({
    url: `http://127.0.0.1:${port}`,
    apiKey: "lh_test",
    functions: { f: { handler: () => 1 } },
    onError: (error) => {
      errors.push(error);
      heard.resolve();
    },
  });
  const starting = one.start();
  await heard.promise;
  expect(errors[0]).toBeInstanceOf(ApiError);
  const keys: unknown[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers.authorization);
    response.setHeader("content-type", "application/json").end('{"jobs":[]}');
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  await starting;
  await one.stop();
  expect(keys[0]).toBe("Bearer lh_test");
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
