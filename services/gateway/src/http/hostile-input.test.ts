import { Agent, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { directClients, fakeBackends } from "../testing/fake-backends.ts";
import { type StartedGateway, startGateway } from "../testing/start-gateway.ts";

let overWire: StartedGateway;
let inProcess: StartedGateway;
const agent = new Agent({ keepAlive: true });
beforeAll(async () => {
  overWire = await startGateway();
  const fake = fakeBackends();
  inProcess = await startGateway({ fake, clients: directClients(fake) });
});
afterAll(async () => {
  agent.destroy();
  await overWire[Symbol.asyncDispose]();
  await inProcess[Symbol.asyncDispose]();
});

interface Answered {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function send(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: Uint8Array | string,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const req = request(
      {
        port,
        host: "127.0.0.1",
        method,
        path,
        agent,
        headers: { ...headers, ...(body !== undefined && { "content-length": String(Buffer.byteLength(body)) }) },
      },
      (res) => {
        const chunks: Buffer[] = [];
        res.on("data", (chunk: Buffer) => chunks.push(chunk));
        res.on("end", () =>
          resolve({
            status: res.statusCode ?? 0,
            type: String(res.headers["content-type"]),
            text: Buffer.concat(chunks).toString(),
          }),
        );
        res.on("error", reject);
      },
    );
    // A body that is refused early may cut the sender off.
    req.on("error", reject);
    req.end(body);
  });
}

function expectSane(gateway: StartedGateway, { status, type, text }: Answered): void {
  expect(gateway.errors).toEqual([]);
  expect(status).toBeGreaterThanOrEqual(200);
  expect(status).toBeLessThan(500);
  if (status >= 400) {
    expect(type).toBe("application/problem+json");
    if (text !== "") expect(JSON.parse(text)).toMatchObject({ status, code: expect.any(String), detail: expect.any(String) });
    expect(text).not.toMatch(/\.ts:|node_modules|at Object\./);
  }
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
}

const nasty = fc.constantFrom(
  "",
  "%",
  "%00",
  "%ff",
  "%2e%2e%2f",
  "..",
  ":",
  "::",
  "x:cancel",
  "a:b:c",
  "%3Acancel",
  "*",
  "(",
  "[^:]+",
  "x".repeat(300),
  "x".repeat(2_000),
  "%E2%82",
  "__proto__",
  "constructor",
  "🙂",
  "%F0%9F%99%82",
  "%5C",
  "%0d%0aX:1",
  "'\"<>",
  "~!@$&()",
  "{id}",
  " ",
);
const segment = fc.oneof(
  nasty,
  fc.string({ maxLength: 8 }).map((one) => encodeURIComponent(one)),
  fc.webSegment(),
);
const path = fc
  .tuple(
    fc.constantFrom(
      "/v1/tasks",
      "/v1/tasks/",
      "/v1/workflows/",
      "/v1/workflows:validate",
      "/v1/deliveries/",
      "/v1/tasks:batchGet",
      "/",
      "//",
      "/v1",
      "/longhaul.v1.TaskService/",
    ),
    fc.option(segment, { nil: "" }),
    fc.constantFrom(
      "",
      ":cancel",
      ":retry",
      ":replay",
      "/nodes",
      "/deliveries",
      "/revisions",
      "/revisions/1",
      "/revisions/x",
      "/",
      "?",
    ),
  )
  .map((parts) => parts.join(""));
const query = fc.oneof(
  fc.constant(""),
  fc.constantFrom(
    "?label.__proto__=1",
    "?__proto__=1",
    "?constructor.prototype=x",
    "?state=",
    "?&&&=&",
    "?%",
    "?pageSize=-1",
    "?label.%ff=1",
    "?wait=1s",
    "?wait=-1s",
    "?wait=9e9s",
    "?ifNoneMatch=x",
    "?q=%00",
    "?q=🙂",
    `?q=${"x".repeat(5_000)}`,
    `?q=${"x".repeat(9_000)}`,
  ),
  fc.webQueryParameters().map((one) => `?${one}`),
);
const headerValue = fc.oneof(
  fc.constantFrom(
    "wait=1",
    "wait=0",
    "wait=99999999999",
    "wait=;",
    'wait="',
    "*",
    '"1"',
    '"',
    "W/",
    '"a", "b"',
    "\u00e9",
    "x".repeat(3_000),
    "1.2.3",
    "application/json",
    "text/html",
    "bearer x",
    "gzip",
    "null",
    "https://evil.example",
  ),
  fc.string({ maxLength: 30 }).map((one) => one.replaceAll(/[^\x20-\x7e]/g, "")),
);
const headers = fc.dictionary(
  fc.constantFrom(
    "prefer",
    "if-none-match",
    "idempotency-key",
    "last-event-id",
    "content-type",
    "accept",
    "authorization",
    "x-api-key",
    "longhaul-project",
    "longhaul-internal-token",
    "content-encoding",
    "expect",
    "x-http-method-override",
    "sec-fetch-site",
  ),
  headerValue,
  { maxKeys: 4 },
);
const json = fc.json({ maxDepth: 6 });
const proto = fc.constantFrom(
  '{"__proto__":{"polluted":1}}',
  '{"workflow":"echo","__proto__":{"polluted":1}}',
  '{"workflow":"echo","labels":{"__proto__":"x","constructor":"y"}}',
  '{"workflow":"echo","labels":{"__proto__":{"polluted":1}}}',
  '{"workflow":"echo","input":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}',
  '{"workflow":"echo","input":"\\ud800"}',
  '{"workflow":"\\ud800","input":1}',
  '{"workflow":"echo","labels":{"\\ud800":"\\udfff"}}',
  '{"workflow":"echo","workflow":"echo2","input":1}',
  '{"workflow":"echo","input":1e400}',
  '{"workflow":"echo","priority":1e99}',
  '{"workflow":"echo","deadline":"9999-99-99"}',
  '{"workflow":"echo","deadline":"0000-00-00T00:00:00Z"}',
  '{"workflow":"echo","wait":"-5s"}',
  '{"workflow":"echo","webhook":{"url":"\\u0000","events":[null]}}',
  '{"nodes":[{"__proto__":{"polluted":1}}]}',
  '{"ids":["__proto__",null]}',
  "nodes: &a [*a]",
  "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]",
  "? [complex, key]\n: 1",
  "!!js/function 'x'",
  "__proto__: {polluted: 1}",
  "null",
  "[".repeat(3_000),
  "- ".repeat(500),
  "\ufeff{}",
);
const body = fc.oneof(
  { weight: 3, arbitrary: json },
  { weight: 3, arbitrary: proto },
  {
    weight: 1,
    arbitrary: fc
      .tuple(json, fc.nat(), fc.constantFrom('"', "{", "]", ",", "\\", "\0", "-"))
      .map(([text, at, ch]) => text.slice(0, at % (text.length + 1)) + ch + text.slice(at % (text.length + 1))),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  { weight: 2, arbitrary: json.map((input) => `{"workflow":"echo","input":${input}}`) },
);
const type = fc.constantFrom(
  "application/json",
  "application/json",
  "application/json; charset=utf-8",
  "application/yaml",
  "text/plain",
  "application/grpc-web+proto",
  "application/proto",
  "",
  "json",
);

test("whatever path, query and headers a stranger sends: no 500, no pollution, always a problem", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE"),
      path,
      query,
      headers,
      fc.boolean(),
      async (method, at, behind, more, wire) => {
        const gateway = wire ? overWire : inProcess;
        const url = encodeNonAscii(at + behind);
        if (url.includes(" ")) return;
        expectSane(gateway, await send(gateway.port, method, url, clean(more)));
      },
    ),
    { numRuns: 600 },
  );
});

test("whatever body a stranger sends: no 500, no pollution, always a problem", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<[string, string]>(
        ["POST", "/v1/tasks"],
        ["PUT", "/v1/workflows/w"],
        ["POST", "/v1/workflows:validate"],
        ["POST", "/v1/tasks:batchGet"],
        ["POST", "/v1/tasks/x:cancel"],
        ["POST", "/v1/tasks/x:retry"],
        ["POST", "/v1/tasks:batchCancel"],
      ),
      type,
      body,
      headers,
      fc.boolean(),
      async ([method, at], contentType, sent, more, wire) => {
        const gateway = wire ? overWire : inProcess;
        expectSane(
          gateway,
          await send(gateway.port, method, at, { ...clean(more), ...(contentType && { "content-type": contentType }) }, sent),
        );
      },
    ),
    { numRuns: 900 },
  );
});

function encodeNonAscii(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, (part) => encodeURIComponent(part));
}

/** A client that expects 100-continue waits for it before its body. */
function clean(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name, value]) => !(name === "expect" && value.includes("100-continue")) && !(name === "sec-fetch-site" && value === ""),
    ),
  );
}

async function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
    socket.write(text, "latin1");
  });
}

test.each([
  ["garbage", "garbage\r\n\r\n", 400],
  ["a bad method", "FROB /v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["no host", "GET /v1/tasks HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
  ["two lengths", "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400],
  [
    "length and chunks",
    "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  ["a NUL in a header", "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400],
  ["huge headers", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431],
  ["a huge URL", `GET /${"x".repeat(9_000)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 414],
  ["a raw non-ASCII path", "GET /v1/tasks/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400],
])("%s is answered with a problem", async (_, text, status) => {
  const answer = await raw(overWire.port, text);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer.toLowerCase()).toMatch(/content-type: application\/problem\+json/);
});

test("a request that arrives too slowly is cut off with 408", async () => {
  await using gateway = await startGateway({ requestTimeoutMs: 50, headersTimeoutMs: 50 });
  expect(await raw(gateway.port, "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Le")).toMatch(/^HTTP\/1\.1 408 /);
});

test("more body bytes than may be held are refused with 503 and Retry-After, and given back afterwards", async () => {
  const fake = fakeBackends();
  const accept = fake.intake.submitMany;
  let release = (): void => {};
  let arrived = (): void => {};
  const here = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fake.intake.submitMany = async (req, context) => {
    arrived();
    await held;
    if (!accept) throw new Error("no fake");
    return accept(req, context);
  };
  await using gateway = await startGateway({ fake, config: { maxHeldBytes: 1_000_000 } });
  const large = () =>
    fetch(`${gateway.url}/v1/tasks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"workflow":"echo","input":"${"x".repeat(600_000)}"}`,
    });
  const first = large();
  await here;
  const second = await large();
  expect([second.status, second.headers.get("retry-after")]).toEqual([503, "1"]);
  release();
  expect((await first).status).toBe(202);
  expect((await large()).status).toBe(202);
});

test("the HTTP API works over HTTP/2 as well", async () => {
  const session = connectHttp2(overWire.url);
  const ask = (headers: Record<string, string>, sent?: string): Promise<{ status: unknown; text: string }> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers);
      let status: unknown;
      let text = "";
      stream.on("response", (got) => {
        status = got[":status"];
      });
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      stream.on("end", () => resolve({ status, text }));
      stream.on("error", reject);
      stream.end(sent);
    });
  try {
    const made = await ask(
      { ":method": "POST", ":path": "/v1/tasks", "content-type": "application/json" },
      '{"workflow":"echo","input":1}',
    );
    expect(made.status).toBe(202);
    const { id } = JSON.parse(made.text);
    expect((await ask({ ":path": `/v1/tasks/${id}` })).status).toBe(200);
    expect((await ask({ ":path": `/v1/tasks/${id}/events` })).text).toMatch(/event: end/);
    expect(await ask({ ":path": "/nope" })).toMatchObject({ status: 404, text: expect.stringContaining("not_found") });
    const large = await ask(
      { ":method": "POST", ":path": "/v1/tasks", "content-type": "application/json" },
      `"${"x".repeat(1_200_000)}"`,
    );
    expect(large).toMatchObject({ status: 413, text: expect.stringContaining("too_large") });
    expect((await ask({ ":path": "/v1/tasks", ":authority": "evil.example" })).status).toBe(403);
  } finally {
    session.close();
  }
});
