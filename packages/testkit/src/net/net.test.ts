import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { freePort } from "./free-port.ts";
import { tcpProxy } from "./tcp-proxy.ts";
import { webhookReceiver } from "./webhook-receiver.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const listen = (server: Server, port = 0) =>
  new Promise<number>((resolve) => server.listen(port, "127.0.0.1", () => resolve((server.address() as { port: number }).port)));
const data = (socket: Socket) => new Promise<string>((resolve) => socket.once("data", (chunk) => resolve(chunk.toString())));
const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()));
function dial(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}
async function echoServer() {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  cleanups.push(() => server.close());
  return listen(server);
}

test("a free port can be listened on", async () => {
  const server = createServer();
  cleanups.push(() => server.close());
  const port = await freePort();
  expect(await listen(server, port)).toBe(port);
});

test("a proxy passes data both ways, tears connections when cut, and works again when healed", async () => {
  const proxy = await tcpProxy(await echoServer());
  cleanups.push(() => proxy.stop());
  const one = dial(proxy.port);
  one.write("hello");
  expect(await data(one)).toBe("hello");
  expect(proxy.connections()).toBe(1);
  const gone = closed(one);
  proxy.cut();
  await gone;
  await closed(dial(proxy.port));
  proxy.heal();
  const two = dial(proxy.port);
  two.write("again");
  expect(await data(two)).toBe("again");
});

test("a silent cut keeps connections open and lets nothing through, and healing tears them", async () => {
  const proxy = await tcpProxy(await echoServer());
  cleanups.push(() => proxy.stop());
  const socket = dial(proxy.port);
  socket.write("1");
  expect(await data(socket)).toBe("1");
  proxy.cut("silent");
  let got = "";
  socket.on("data", (chunk) => {
    got += chunk;
  });
  await new Promise<void>((resolve) => socket.write("2", () => resolve()));
  const other = dial(proxy.port);
  await new Promise((resolve) => other.once("connect", resolve));
  const gone = closed(socket);
  proxy.heal();
  await gone;
  expect(got).toBe("");
});

test("a delay holds data back and keeps its order", async () => {
  const proxy = await tcpProxy(await echoServer());
  cleanups.push(() => proxy.stop());
  proxy.delay(20);
  const socket = dial(proxy.port);
  let got = "";
  const all = new Promise<void>((resolve) =>
    socket.on("data", (chunk) => {
      got += chunk;
      if (got.length === 3) resolve();
    }),
  );
  const begun = performance.now();
  for (const piece of ["a", "b", "c"]) socket.write(piece);
  await all;
  expect(got).toBe("abc");
  expect(performance.now() - begun).toBeGreaterThanOrEqual(38);
});

test("a receiver records exact bytes and headers, in order, and answers as told", async () => {
  const receiver = await webhookReceiver();
  cleanups.push(() => receiver.stop());
  const bytes = Buffer.from([0, 255, 10, 13]);
  const post = (path: string) =>
    fetch(new URL(path, receiver.url), { method: "POST", body: bytes, headers: { "X-Sig": "v1,a" } });
  expect((await post("/a?b=c")).status).toBe(204);
  const first = await receiver.next();
  expect(first).toMatchObject({ method: "POST", path: "/a?b=c", headers: { "x-sig": "v1,a" } });
  expect(first.body.equals(bytes)).toBe(true);
  receiver.answer(() => ({ status: 503, headers: { "retry-after": "7" }, body: "busy" }));
  const coming = receiver.next();
  const answer = await post("/d");
  expect([answer.status, answer.headers.get("retry-after"), await answer.text()]).toEqual([503, "7", "busy"]);
  expect((await coming).path).toBe("/d");
  expect(receiver.requests.map((one) => one.path)).toEqual(["/a?b=c", "/d"]);
  await expect(receiver.next(5)).rejects.toThrow("no request came within 5 ms; 2 came before");
});

test("a handler that throws is a 500, and one may tear the connection itself", async () => {
  const receiver = await webhookReceiver(() => {
    throw new Error("oops");
  });
  cleanups.push(() => receiver.stop());
  expect((await fetch(receiver.url)).status).toBe(500);
  receiver.answer((_request, response) => {
    response.destroy();
    return undefined;
  });
  await expect(fetch(receiver.url)).rejects.toThrow();
});
