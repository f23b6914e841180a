import { createServer, request } from "node:http";
import { connect as tcp } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { TaskService } from "@longhaul/proto/task_service";
import { afterEach, expect, test } from "vitest";
import { readiness } from "../lifecycle/readiness.ts";
import { aborted } from "../lifecycle/run-parts.ts";
import { type LogFields, type Logger, silentLogger } from "../log/logger.ts";
import { projectHeader, projectOf } from "./metadata.ts";
import { type ServeRpcOptions, serveRpc } from "./serve-rpc.ts";
import { serviceClient } from "./service-client.ts";
import { type ServiceTransportOptions, serviceTransport } from "./service-transport.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Impl = Partial<ServiceImpl<typeof TaskService>>;

async function serve(impl: Impl, more: Partial<ServeRpcOptions> = {}) {
  const server = serveRpc({
    host: "127.0.0.1",
    port: 0,
    log: silentLogger,
    ready: readiness(),
    routes: (router) => void router.service(TaskService, impl),
    ...more,
  });
  await server.start();
  cleanups.push(() => server.stop());
  const { port } = server.address();
  return { server, port, url: `http://127.0.0.1:${port}` };
}

function connectTo(url: string, options: ServiceTransportOptions = {}) {
  const transport = serviceTransport(url, { grouped: [TaskService], ...options });
  cleanups.push(() => transport.close());
  return { transport, client: serviceClient(TaskService, transport) };
}

const get: Impl = { get: ({ id }) => ({ task: { id } }) };

/** Posts bytes as they are; answers the status and the body. */
function post(port: number, path: string, body: Buffer, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const type = { "content-type": "application/proto", ...headers };
    const req = request({ port, host: "127.0.0.1", method: "POST", path, headers: type }, (res) => {
      let text = "";
      res.setEncoding("latin1");
      res.on("data", (chunk: string) => {
        text += chunk;
      });
      res.on("end", () => resolve({ status: res.statusCode ?? 0, text }));
    });
    req.on("error", reject).end(body);
  });
}

test("a grouped call goes over HTTP/1.1, with the caller's metadata, and gives back what the handler set", async () => {
  let path = "";
  const { url } = await serve({
    get(_req, context) {
      path = `${context.requestMethod} ${context.url} ${context.requestHeader.get("connect-protocol-version")}`;
      context.responseHeader.set("x-seen", projectOf(context));
      return { task: { id: String(Math.sign(context.timeoutMs() ?? 0)) } };
    },
  });
  const { client } = connectTo(url);
  const seen: (string | null)[] = [];
  const onHeader = (header: Headers): void => void seen.push(header.get("x-seen"));
  const { task } = await client.get({}, { headers: { [projectHeader]: "acme" }, onHeader });
  expect([task?.id, path]).toEqual(["1", "POST /longhaul.v1.TaskService/Get 1"]);
  expect(seen).toEqual(["acme"]);
});

test("what a handler throws reaches the caller with its faults; what nobody expected is logged and goes out bare", async () => {
  const lines: LogFields[] = [];
  const log: Logger = { ...silentLogger, error: (fields) => void lines.push(fields) };
  const { url } = await serve(
    {
      get() {
        throw new LonghaulError("invalid_input", "no good", { faults: [{ pointer: "/id", message: "is not a UUID" }] });
      },
      cancel() {
        throw new TypeError("password hunter2");
      },
    },
    { log },
  );
  const { client } = connectTo(url);
  await expect(client.get({ id: "x" })).rejects.toMatchObject({
    code: "invalid_input",
    message: "no good",
    faults: [{ pointer: "/id", message: "is not a UUID" }],
  });
  expect(lines).toEqual([]);
  await expect(client.cancel({})).rejects.toMatchObject({ code: "internal", message: "internal error" });
  expect(lines).toMatchObject([{ err: { message: "password hunter2" }, method: "longhaul.v1.TaskService/Cancel" }]);
  await expect(client.list({})).rejects.toMatchObject({ code: "internal" });
});

test("a call needs the token", async () => {
  const token = "0123456789abcdef";
  const { url } = await serve(get, { token });
  expect((await connectTo(url, { token }).client.get({ id: "a" })).task?.id).toBe("a");
  await expect(connectTo(url).client.get({})).rejects.toMatchObject({ code: "internal", cause: { code: "unauthenticated" } });
  await expect(connectTo(url, { token: `${token}x` }).client.get({})).rejects.toMatchObject({ code: "internal" });
});

test("a deadline, or a caller that calls it off, ends the call on both sides", async () => {
  const ended: Promise<void>[] = [];
  let begun = (): void => {};
  const began = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const { url } = await serve({
    get(_req, { signal }) {
      ended.push(aborted(signal));
      begun();
      return new Promise(() => {});
    },
  });
  await expect(connectTo(url, { timeoutMs: 50 }).client.get({})).rejects.toMatchObject({ code: "deadline_exceeded" });
  await began;
  const off = new AbortController();
  const call = connectTo(url).client.get({}, { signal: off.signal });
  off.abort();
  await expect(call).rejects.toMatchObject({ code: "cancelled" });
  await expect(connectTo(url).client.get({}, { signal: off.signal })).rejects.toMatchObject({ code: "cancelled" });
  await Promise.all(ended);
});

test("messages up to the limit go through, a larger one is too_large either way", async () => {
  const large = "x".repeat(16_777_216);
  const open = await serve(get);
  expect((await connectTo(open.url).client.get({ id: large })).task?.id.length).toBe(large.length);
  const tight = await serve({ get: () => ({ task: { id: "x".repeat(2_000) } }) }, { maxBytes: 1_000 });
  await expect(connectTo(tight.url).client.get({ id: "x".repeat(2_000) })).rejects.toMatchObject({ code: "too_large" });
  await expect(connectTo(tight.url, { maxBytes: 1_000 }).client.get({ id: "x" })).rejects.toMatchObject({ code: "too_large" });
  expect((await connectTo(tight.url).client.get({ id: "x" })).task?.id.length).toBe(2_000);
});

test("a body that is no such message is refused; anything but unary protobuf goes to the general handler", async () => {
  const { port } = await serve(get);
  const path = "/longhaul.v1.TaskService/Get";
  const wrong = await post(port, path, Buffer.from([0x0a, 0x05, 0x41]));
  expect(wrong.status).toBe(400);
  expect(JSON.parse(wrong.text)).toMatchObject({ code: "invalid_argument" });
  expect((await post(port, path, Buffer.from('{"id":"t"}'), { "content-type": "application/json" })).text).toContain('"t"');
  expect((await post(port, path, Buffer.from([]), { "connect-timeout-ms": "soon" })).status).toBe(400);
  expect((await post(port, "/longhaul.v1.TaskService/None", Buffer.from([]))).status).toBe(404);
});

test("an answer that is no Connect answer is a fault of its own", async () => {
  const server = createServer((req, res) => {
    req.resume();
    res.statusCode = req.url?.endsWith("Get") === true ? 503 : 200;
    res.end(Buffer.from([0x0a, 0x05, 0x41]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const { client } = connectTo(`http://127.0.0.1:${port}`);
  await expect(client.get({})).rejects.toMatchObject({ code: "unavailable" });
  await expect(client.cancel({})).rejects.toMatchObject({ code: "internal" });
});

test("a torn connection and a closed transport are unavailable; after a restart the next call works again", async () => {
  const first = await serve({ get: () => new Promise(() => {}), cancel: () => ({}) });
  const { client, transport } = connectTo(first.url);
  const call = client.get({ id: "a" });
  call.catch(() => {});
  await client.cancel({});
  await first.server.stop();
  await expect(call).rejects.toMatchObject({ code: "unavailable" });
  await expect(client.get({ id: "b" })).rejects.toMatchObject({ code: "unavailable" });
  await serve(get, { port: first.port });
  expect((await client.get({ id: "c" })).task?.id).toBe("c");
  transport.close();
  await expect(client.get({ id: "d" })).rejects.toMatchObject({ code: "unavailable" });
});

test("every address is used, and one that is dead costs no call", async () => {
  const seen = new Set<string>();
  const note = (name: string): Impl => ({
    get: () => {
      seen.add(name);
      return {};
    },
  });
  const { port } = await serve(note("one"), { host: "127.0.0.2" });
  await serve(note("two"), { host: "127.0.0.3", port });
  const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
  const { client } = connectTo(`http://schedulers.test:${port}`, { resolve: async () => addresses });
  for (let i = 0; i < 9; i++) await client.get({});
  expect(seen).toEqual(new Set(["one", "two"]));
});

test("draining lets grouped calls under way finish", async () => {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let begun = (): void => {};
  const began = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const { server, url, port } = await serve({
    async get({ id }) {
      begun();
      await gate;
      return { task: { id } };
    },
  });
  const call = connectTo(url).client.get({ id: "a" });
  await began;
  const drained = server.drain(new AbortController().signal);
  release();
  expect((await call).task?.id).toBe("a");
  await drained;
  const refused = await new Promise((resolve) => tcp(port, "127.0.0.1").on("error", resolve));
  expect(refused).toMatchObject({ code: "ECONNREFUSED" });
});
