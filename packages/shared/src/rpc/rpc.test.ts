import { request } from "node:http";
import { connect as tcp } from "node:net";
import { Code, type ConnectError, createClient, type ServiceImpl } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { LonghaulError } from "@longhaul/core";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@longhaul/proto/grpc/health/v1/health_pb";
import { ServerReflection } from "@longhaul/proto/grpc/reflection/v1/reflection_pb";
import { ServerReflection as ServerReflectionAlpha } from "@longhaul/proto/grpc/reflection/v1alpha/reflection_pb";
import { TaskService } from "@longhaul/proto/task_service";
import { afterEach, describe, expect, test } from "vitest";
import { readiness } from "../lifecycle/readiness.ts";
import { aborted } from "../lifecycle/run-parts.ts";
import { type LogFields, type Logger, silentLogger } from "../log/logger.ts";
import { onwardCall, projectHeader, projectOf } from "./metadata.ts";
import { type ServeRpcOptions, serveRpc } from "./serve-rpc.ts";
import { serviceClient } from "./service-client.ts";
import { type ServiceTransportOptions, serviceTransport } from "./service-transport.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Impl = Partial<ServiceImpl<typeof TaskService>>;

async function serve(impl: Impl, more: Partial<ServeRpcOptions> = {}) {
  const ready = readiness();
  ready.set(true);
  const server = serveRpc({
    host: "127.0.0.1",
    port: 0,
    log: silentLogger,
    ready,
    routes: (router) => void router.service(TaskService, impl),
    ...more,
  });
  await server.start();
  cleanups.push(() => server.stop());
  const { port } = server.address();
  return { server, ready, port, url: `http://127.0.0.1:${port}` };
}

function connectTo(url: string, options: ServiceTransportOptions = {}) {
  const transport = serviceTransport(url, options);
  cleanups.push(() => transport.close());
  return { transport, client: serviceClient(TaskService, transport) };
}

const get: Impl = { get: ({ id }) => ({ task: { id } }) };

describe("errors", () => {
  test("what a handler throws reaches the caller with its faults, over the wire", async () => {
    const { url } = await serve({
      get() {
        throw new LonghaulError("invalid_input", "no good", { faults: [{ pointer: "/id", message: "is not a UUID" }] });
      },
    });
    const { client } = connectTo(url);
    await expect(client.get({ id: "x" })).rejects.toMatchObject({
      code: "invalid_input",
      message: "no good",
      faults: [{ pointer: "/id", message: "is not a UUID" }],
      retryAfterMs: undefined,
    });
  });

  test("an error that nobody expected is logged with its stack and goes out bare", async () => {
    const lines: LogFields[] = [];
    const log: Logger = { ...silentLogger, error: (fields) => void lines.push(fields) };
    const { url } = await serve(
      {
        get() {
          throw new TypeError("password hunter2");
        },
      },
      { log },
    );
    const { client } = connectTo(url);
    const error = await client.get({}).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "internal", message: "internal error" });
    expect(JSON.stringify([...(error as { cause: ConnectError }).cause.metadata])).not.toContain("hunter2");
    expect(lines).toMatchObject([{ err: { message: "password hunter2" }, method: "longhaul.v1.TaskService/Get" }]);
  });
});

describe("one port", () => {
  test.each([
    ["Connect over HTTP/2", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" })],
    ["Connect over HTTP/1.1", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
    ["gRPC-Web over HTTP/1.1", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC-Web over HTTP/2", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ])("answers %s", async (_name, transport) => {
    const { url } = await serve(get);
    expect((await createClient(TaskService, transport(url)).get({ id: "t1" })).task?.id).toBe("t1");
  });

  test("answers Connect as plain JSON, and the probes", async () => {
    const { url, ready } = await serve(get);
    const answer = await fetch(`${url}/longhaul.v1.TaskService/Get`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"id":"t1"}',
    });
    expect(await answer.json()).toEqual({ task: { id: "t1" } });
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    ready.set(false);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
  });

  test("tells the protocols apart however the first bytes are cut", async () => {
    const { port } = await serve(get);
    const send = (chunks: string[]) =>
      new Promise<string>((resolve, reject) => {
        const socket = tcp(port, "127.0.0.1");
        socket.setNoDelay(true);
        let got = "";
        socket.on("data", (chunk) => {
          got += chunk.toString("latin1");
          socket.destroy();
          resolve(got);
        });
        socket.on("error", reject);
        const next = (): void => {
          const chunk = chunks.shift();
          if (chunk !== undefined) socket.write(chunk, () => setImmediate(next));
        };
        next();
      });
    const put = [..."PUT /livez HTTP/1.1\r\nhost: x\r\n\r\n"];
    expect(await send(put)).toMatch(/^HTTP\/1\.1 200/);
    expect(await send(["PRO", "PFIND / HTTP/1.1\r\nhost: x\r\n\r\n"])).toMatch(/^HTTP\/1\.1 404/);
    // The server's first frame on HTTP/2 is SETTINGS: type 4.
    const h2 = await send(["P", "RI", " * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\x04\0\0\0\0\0"]);
    expect(h2.charCodeAt(3)).toBe(4);
    expect(await send(["\x16\x03\x01 garbage\r\n\r\n"])).toMatch(/^HTTP\/1\.1 400/);
  });

  test("a connection that says nothing does not hold up the drain", async () => {
    const { server, port } = await serve(get);
    const socket = tcp(port, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    await server.drain(new AbortController().signal);
    await closed;
  });

  test("draining lets calls under way finish, on HTTP/1.1 and HTTP/2, ends streams, and refuses new connections", async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begun = 0;
    let bothBegan = (): void => {};
    const both = new Promise<void>((resolve) => {
      bothBegan = resolve;
    });
    const { server, url, port } = await serve({
      async get({ id }) {
        if (++begun === 2) bothBegan();
        await gate;
        return { task: { id } };
      },
      async *watch(_req, { signal }) {
        yield { id: "1" };
        await aborted(signal);
      },
    });
    const h2 = connectTo(url).client;
    const h1 = createClient(TaskService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    const watching = h2.watch({})[Symbol.asyncIterator]();
    expect((await watching.next()).value.id).toBe("1");
    const calls = [h2.get({ id: "a" }), h1.get({ id: "b" })];
    await both;
    const drained = server.drain(new AbortController().signal);
    await expect(watching.next()).rejects.toMatchObject({ code: "unavailable" });
    release();
    expect((await Promise.all(calls)).map((answer) => answer.task?.id)).toEqual(["a", "b"]);
    await drained;
    await expect(connectTo(`http://127.0.0.1:${port}`).client.get({})).rejects.toMatchObject({ code: "unavailable" });
  });

  test("the deadline cuts a drain, and stop leaves nothing open", async () => {
    const { server, url } = await serve({ get: () => new Promise(() => {}) });
    const { client } = connectTo(url);
    const call = client.get({});
    call.catch(() => {});
    // The call has reached the server once another one on the same connection is answered.
    await expect(client.list({})).rejects.toMatchObject({ code: "internal" });
    const deadline = new AbortController();
    const drained = server.drain(deadline.signal);
    deadline.abort();
    await drained;
    await server.stop();
    await expect(call).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a port that is taken rejects the start", async () => {
    const { port } = await serve(get);
    const second = serveRpc({ host: "127.0.0.1", port, log: silentLogger, ready: readiness(), routes: () => {} });
    await expect(second.start()).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("health and reflection", () => {
  test("health follows readiness and knows its services", async () => {
    const { url, ready } = await serve(get);
    const health = createClient(Health, createGrpcTransport({ baseUrl: url }));
    expect((await health.check({})).status).toBe(Status.SERVING);
    expect((await health.check({ service: "longhaul.v1.TaskService" })).status).toBe(Status.SERVING);
    await expect(health.check({ service: "nobody" })).rejects.toMatchObject({ code: Code.NotFound });
    const stop = new AbortController();
    const watched = health.watch({}, { signal: stop.signal })[Symbol.asyncIterator]();
    expect((await watched.next()).value.status).toBe(Status.SERVING);
    ready.set(false);
    expect((await watched.next()).value.status).toBe(Status.NOT_SERVING);
    ready.set(true);
    expect((await watched.next()).value.status).toBe(Status.SERVING);
    stop.abort();
    await expect(watched.next()).rejects.toMatchObject({ code: Code.Canceled });
    const unknown = health.watch({ service: "nobody" })[Symbol.asyncIterator]();
    expect((await unknown.next()).value.status).toBe(Status.SERVICE_UNKNOWN);
  });

  test.each([ServerReflection, ServerReflectionAlpha])(
    "$typeName lists services and gives their files with all imports",
    async (service) => {
      const { url } = await serve(get);
      const client = createClient(service as typeof ServerReflection, createGrpcTransport({ baseUrl: url }));
      async function ask(...questions: { case: string; value: unknown }[]) {
        const answers = [];
        async function* requests() {
          for (const messageRequest of questions) yield { host: "h", messageRequest } as never;
        }
        for await (const answer of client.serverReflectionInfo(requests())) answers.push(answer.messageResponse);
        return answers;
      }
      const [list, symbol, file, method, unknown, extension, numbers, empty] = await ask(
        { case: "listServices", value: "" },
        { case: "fileContainingSymbol", value: "longhaul.v1.TaskService" },
        { case: "fileByFilename", value: "longhaul/v1/task.proto" },
        { case: "fileContainingSymbol", value: "longhaul.v1.TaskService.Get" },
        { case: "fileContainingSymbol", value: "no.Such" },
        { case: "fileContainingExtension", value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 50_101 } },
        { case: "allExtensionNumbersOfType", value: "google.protobuf.MethodOptions" },
        { case: undefined as never, value: undefined },
      );
      expect(list).toMatchObject({ case: "listServicesResponse" });
      expect(JSON.stringify(list)).toContain("longhaul.v1.TaskService");
      for (const found of [symbol, file, method, extension]) expect(found?.case).toBe("fileDescriptorResponse");
      const files = symbol?.case === "fileDescriptorResponse" ? symbol.value.fileDescriptorProto : [];
      expect(files.length).toBeGreaterThan(3);
      expect(unknown).toMatchObject({ case: "errorResponse", value: { errorCode: 5 } });
      expect(numbers).toMatchObject({
        case: "allExtensionNumbersResponse",
        value: { extensionNumber: expect.arrayContaining([50_101]) },
      });
      expect(empty).toMatchObject({ case: "errorResponse", value: { errorCode: 3 } });
    },
  );
});

describe("between services", () => {
  const token = "0123456789abcdef";

  test("a call needs the token; health does not; the wrong token is internal to the caller", async () => {
    const { url } = await serve(get, { token });
    expect((await connectTo(url, { token }).client.get({ id: "a" })).task?.id).toBe("a");
    await expect(connectTo(url).client.get({})).rejects.toMatchObject({ code: "internal", cause: { code: "unauthenticated" } });
    await expect(connectTo(url, { token: `${token}x` }).client.get({})).rejects.toMatchObject({ code: "internal" });
    await expect(createClient(TaskService, createGrpcTransport({ baseUrl: url })).get({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
    expect((await createClient(Health, createGrpcTransport({ baseUrl: url })).check({})).status).toBe(Status.SERVING);
  });

  test("the project, the signal and what is left of the time go on to the next service", async () => {
    const inner = await serve({
      get: (_req, context) => ({ task: { id: projectOf(context), revision: Math.sign(context.timeoutMs() ?? 0) } }),
    });
    const innerClient = connectTo(inner.url).client;
    const outer = await serve({ get: (req, context) => innerClient.get(req, onwardCall(context)) });
    const { client } = connectTo(outer.url, { timeoutMs: 5_000 });
    const answer = await client.get({}, { headers: { [projectHeader]: "acme" } });
    expect(answer.task).toMatchObject({ id: "acme", revision: 1 });
    const direct = createClient(TaskService, createGrpcTransport({ baseUrl: inner.url }));
    await expect(direct.get({}, { headers: { [projectHeader]: "../etc" } })).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
    await expect(direct.get({})).rejects.toThrow(/names no project/);
  });

  test("a deadline ends the call on both sides", async () => {
    let handlerSaw: Promise<void> | undefined;
    const { url } = await serve({
      get(_req, { signal }) {
        handlerSaw = aborted(signal);
        return new Promise(() => {});
      },
    });
    await expect(connectTo(url, { timeoutMs: 50 }).client.get({})).rejects.toMatchObject({ code: "deadline_exceeded" });
    await handlerSaw;
  });

  test("a reader that leaves a stream ends it at the server", async () => {
    let ended = (): void => {};
    const handlerSaw = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const { url } = await serve({
      async *watch(_req, { signal }) {
        yield { id: "1" };
        await aborted(signal);
        ended();
      },
    });
    for await (const event of connectTo(url).client.watch({})) {
      expect(event.id).toBe("1");
      break;
    }
    await handlerSaw;
  });

  test("a message larger than allowed is too_large", async () => {
    const { url } = await serve({ get: () => ({ task: { id: "x".repeat(2_000) } }) }, { maxBytes: 1_000 });
    await expect(connectTo(url).client.get({ id: "x".repeat(2_000) })).rejects.toMatchObject({ code: "too_large" });
    await expect(connectTo(url, { maxBytes: 1_000 }).client.get({ id: "x" })).rejects.toMatchObject({ code: "too_large" });
  });

  test("16 MiB go through", async () => {
    const { url } = await serve({ get: ({ id }) => ({ task: { id } }) });
    const id = "x".repeat(16_777_216);
    expect((await connectTo(url).client.get({ id })).task?.id.length).toBe(id.length);
  });

  test("after a restart on the same port the next call works again", async () => {
    const first = await serve(get);
    const { client } = connectTo(first.url);
    expect((await client.get({ id: "a" })).task?.id).toBe("a");
    await first.server.stop();
    await expect(client.get({ id: "b" })).rejects.toMatchObject({ code: "unavailable" });
    await serve(get, { port: first.port });
    expect((await client.get({ id: "c" })).task?.id).toBe("c");
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
    let now = 0;
    let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    const { client } = connectTo(`http://schedulers.test:${port}`, { resolve: async () => addresses, now: () => now });
    for (let i = 0; i < 9; i++) await client.get({});
    expect(seen).toEqual(new Set(["one", "two"]));
    seen.clear();
    addresses = ["127.0.0.3"];
    now = 10_000;
    await client.get({});
    await new Promise(setImmediate);
    seen.clear();
    for (let i = 0; i < 4; i++) await client.get({});
    expect(seen).toEqual(new Set(["two"]));
  });

  test("a name that can't be looked up is unavailable, and known addresses outlive a broken name server", async () => {
    const { port } = await serve(get);
    let now = 0;
    let isBroken = true;
    const { client } = connectTo(`http://schedulers.test:${port}`, {
      resolve: async () => {
        if (isBroken) throw Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" });
        return ["127.0.0.1"];
      },
      now: () => now,
    });
    await expect(client.get({})).rejects.toMatchObject({ code: "unavailable" });
    isBroken = false;
    expect((await client.get({ id: "a" })).task?.id).toBe("a");
    isBroken = true;
    now = 60_000;
    expect((await client.get({ id: "b" })).task?.id).toBe("b");
  });

  test("an HTTP/1.1 keep-alive connection is told to close while draining", async () => {
    const { server, port } = await serve(get);
    const answer = await new Promise<string>((resolve, reject) => {
      const req = request({ port, host: "127.0.0.1", path: "/livez", headers: { connection: "keep-alive" } }, (res) => {
        res.resume();
        res.on("end", () => resolve(String(res.headers.connection)));
      });
      req.on("error", reject).end();
    });
    expect(answer).toBe("keep-alive");
    await server.drain(AbortSignal.timeout(20_000));
  });
});
