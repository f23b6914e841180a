import { createServer, type IncomingMessage, type Server, type ServerResponse, request as sendRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { type Json, type Outbound, OutboundError } from "@longhaul/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { retryAfterMs } from "./retry-after.ts";
import { httpKind } from "./run.ts";
import { bytes, call, contextOf, failureOf } from "./testing/http-world.ts";

test("GET is the default, with the operation key and nothing compressed asked for", async () => {
  const { request } = await call({ url: "http://x.test/a?b=1" });
  expect(request).toMatchObject({
    method: "GET",
    url: "http://x.test/a?b=1",
    timeoutMs: 5000,
    maxResponseBytes: 16 * 1024 * 1024,
  });
  expect(request.headers).toEqual({ "idempotency-key": "key-1", "accept-encoding": "identity" });
  expect(request.body).toBeUndefined();
});

test("query parameters are added and encoded; lists repeat, null leaves out", async () => {
  const { request } = await call({ url: "http://x.test/?a=1", query: { b: "x y&z", c: [1, true, "ü"], d: null } });
  expect(request.url).toBe("http://x.test/?a=1&b=x+y%26z&c=1&c=true&c=%C3%BC");
});

test("json, form and body are sent with their content types", async () => {
  const json = await call({ method: "POST", json: { a: [1, null] } });
  expect([json.request.headers["content-type"], json.request.body]).toEqual(["application/json", '{"a":[1,null]}']);
  const form = await call({ method: "POST", form: { a: "x y", b: [1, 2] } });
  expect([form.request.headers["content-type"], form.request.body]).toEqual([
    "application/x-www-form-urlencoded",
    "a=x+y&b=1&b=2",
  ]);
  const body = await call({ method: "PUT", body: "<a/>", headers: { "Content-Type": "text/xml" } });
  expect([body.request.headers["content-type"], body.request.body]).toEqual(["text/xml", "<a/>"]);
  expect((await call({ method: "POST", json: null })).request.body).toBe("null");
});

test("an author's header wins over the node's own, and null leaves one out", async () => {
  const { request } = await call({ headers: { "Idempotency-Key": "mine", "X-N": 5, "X-None": null } });
  expect(request.headers).toEqual({ "idempotency-key": "mine", "x-n": "5", "accept-encoding": "identity" });
  expect((await call({ headers: { "idempotency-key": null } })).request.headers["idempotency-key"]).toBeUndefined();
});

test.each<[string, Record<string, Json>]>([
  ["a header that breaks the line", { headers: { a: "x\r\nevil: 1" } }],
  ["a header name that breaks the line", { headers: { "a\r\nb": "x" } }],
  ["an empty header name", { headers: { "": "x" } }],
  ["content-length", { headers: { "Content-Length": "5" } }],
  ["transfer-encoding", { headers: { "transfer-encoding": "chunked" } }],
  ["connection", { headers: { Connection: "close" } }],
  ["host", { headers: { host: "other.test" } }],
  ["a header outside Latin-1", { headers: { a: "\u4e2d" } }],
  ["a header that is a map", { headers: { a: {} } }],
  ["another scheme", { url: "file:///etc/passwd" }],
  ["a relative URL", { url: "/a" }],
  ["a URL that is no text", { url: 5 }],
  ["a password in the URL", { url: "http://user:pass@x.test/" }],
  ["a method that is none", { method: "GET / HTTP/1.1" }],
  ["a body that is no text", { body: { a: 1 } }],
  ["headers that are a list", { headers: ["a"] }],
  ["statuses that are no list", { acceptStatus: "200" }],
])("%s is refused before anything is sent", async (_name, input) => {
  const failure = await failureOf(call(input));
  expect(failure).toMatchObject({ code: "invalid_request", retryable: false });
});

test.each<[string, Record<string, string>, Uint8Array, Json]>([
  ["JSON", { "content-type": "application/json; charset=utf-8" }, bytes('{"a":[1]}'), { a: [1] }],
  ["JSON of a named kind", { "content-type": "application/problem+json" }, bytes('{"a":1}'), { a: 1 }],
  ["what only claims to be JSON", { "content-type": "application/json" }, bytes("<html>"), "<html>"],
  ["text", { "content-type": "text/plain" }, bytes("grüße"), "grüße"],
  ["text in another charset", { "content-type": "text/plain; charset=iso-8859-1" }, Buffer.from([0xfc]), "ü"],
  ["XML", { "content-type": "application/atom+xml" }, bytes("<a/>"), "<a/>"],
  ["bytes", { "content-type": "image/png" }, Buffer.from([0, 255]), "AP8="],
  ["text that is not in its charset", { "content-type": "text/plain" }, Buffer.from([0xff, 0xfe, 0xfd]), "//79"],
  ["text without a type", {}, bytes("hello"), "hello"],
  ["compressed JSON", { "content-type": "application/json", "content-encoding": "gzip" }, Buffer.from([31, 139]), "H4s="],
  ["nothing", { "content-type": "application/json" }, bytes(""), null],
])("%s becomes a JSON body", async (_name, headers, body, expected) => {
  expect((await call({}, { status: 201, headers, body })).output).toEqual({ status: 201, headers, body: expected });
});

test("JSON with keys of a prototype stays data, and JSON too deep stays text", async () => {
  const headers = { "content-type": "application/json" };
  const { output } = await call({}, { headers, body: bytes('{"__proto__":{"polluted":1}}') });
  expect(JSON.stringify(output)).toContain('"body":{"__proto__":{"polluted":1}}');
  const deep = `${"[".repeat(500)}${"]".repeat(500)}`;
  expect((await call({}, { headers, body: bytes(deep) })).output).toMatchObject({ body: deep });
});

test("408, 429 and 5xx fail and may be retried; every other status succeeds", async () => {
  for (const status of [408, 429, 500, 503, 599]) {
    expect(await failureOf(call({}, { status, body: bytes("sorry") }))).toMatchObject({
      code: "http_status",
      retryable: true,
      details: { status, body: "sorry" },
    });
  }
  for (const status of [200, 204, 301, 400, 404, 410]) expect((await call({}, { status })).output).toMatchObject({ status });
});

test("acceptStatus says exactly which statuses succeed", async () => {
  expect((await call({ acceptStatus: [503] }, { status: 503 })).output).toMatchObject({ status: 503 });
  expect((await call({ acceptStatus: ["2xx", 404] }, { status: 404 })).output).toMatchObject({ status: 404 });
  expect(await failureOf(call({ acceptStatus: ["2xx"] }, { status: 404 }))).toMatchObject({
    code: "http_status",
    retryable: false,
  });
  expect(await failureOf(call({ acceptStatus: ["2xx"] }, { status: 503 }))).toMatchObject({ retryable: true });
});

test("Retry-After is honoured in seconds and as a date, and ignored where it is neither", async () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(retryAfterMs("120", now)).toBe(120_000);
  expect(retryAfterMs("Thu, 01 Jan 2026 00:01:00 GMT", now)).toBe(60_000);
  expect(retryAfterMs("Wed, 31 Dec 2025 00:01:00 GMT", now)).toBe(0);
  for (const text of [undefined, "", "soon", "-5", "1.5", "9".repeat(100), "2026-01-01"])
    expect(retryAfterMs(text, now)).toBeUndefined();
  expect(await failureOf(call({}, { status: 429, headers: { "retry-after": "7" } }))).toMatchObject({ retryAfterMs: 7000 });
});

test.each([
  ["forbidden_address", "http_forbidden_address", false, "no"],
  ["invalid_url", "http_invalid_url", false, "no"],
  ["response_too_large", "http_response_too_large", false, "yes"],
  ["connect_failed", "http_connect_failed", true, "no"],
  ["network", "http_network", true, "unknown"],
  ["timeout", "node_timeout", true, "unknown"],
] as const)("the outbound fault %s fails the node as %s", async (fault, code, retryable, sent) => {
  const fail = () => Promise.reject(new OutboundError(fault, "it did not work"));
  const outbound: Outbound = { request: fail, stream: fail };
  expect(await failureOf(Promise.resolve(httpKind.run(contextOf({ url: "http://x.test" }, outbound))))).toMatchObject({
    code,
    retryable,
    message: "it did not work",
    sent,
  });
});

// Against a real server, over the smallest Outbound that could be.
const direct: Outbound = {
  stream: () => Promise.reject(new Error("an http node reads no stream")),
  request({ method, url, headers, body, signal }) {
    return new Promise((resolve, reject) => {
      const sent = sendRequest(url, { method, headers, ...(signal ? { signal } : {}) }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => {
          const names = Object.entries(answer.headers).map(([name, value]) => [name, String(value)]);
          resolve({ status: answer.statusCode ?? 0, headers: Object.fromEntries(names), body: Buffer.concat(chunks) });
        });
      });
      sent.on("error", (error) => reject(signal?.aborted ? signal.reason : new OutboundError("network", error.message, error)));
      sent.end(body);
    });
  },
};

let server: Server;
let origin = "";
let onRequest: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;

beforeAll(async () => {
  server = createServer((request, response) => onRequest(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test("a real server gets the request and its answer becomes the output", async () => {
  const seen: unknown[] = [];
  onRequest = (request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += String(chunk);
    });
    request.on("end", () => {
      seen.push(request.method, request.url, request.headers["content-type"], request.headers["idempotency-key"], text);
      response.writeHead(201, { "content-type": "application/json", "x-a": "b" }).end('{"made":true}');
    });
  };
  const output = await httpKind.run(
    contextOf({ method: "POST", url: `${origin}/items`, query: { q: "ä" }, json: { n: 1 } }, direct),
  );
  expect(seen).toEqual(["POST", "/items?q=%C3%A4", "application/json", "key-1", '{"n":1}']);
  expect(output).toMatchObject({ status: 201, headers: { "x-a": "b" }, body: { made: true } });
});

test("an abort reaches the call, and its reason comes out as it is", async () => {
  const controller = new AbortController();
  const reason = new Error("cancelled");
  onRequest = () => controller.abort(reason);
  await expect(httpKind.run(contextOf({ url: origin }, direct, { signal: controller.signal }))).rejects.toBe(reason);
});

test("a connection that breaks is a failure that may be retried", async () => {
  onRequest = (request) => request.socket.destroy();
  expect(await failureOf(Promise.resolve(httpKind.run(contextOf({ url: origin }, direct))))).toMatchObject({
    code: "http_network",
    retryable: true,
  });
});
