import type { Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { type NodeContext, type NodeWait, Suspension, type Wake } from "../kind.ts";
import { httpKind } from "./run.ts";
import { type Answer, call, contextOf, failureOf, fakeOutbound, jsonAnswer } from "./testing/http-world.ts";

const callbackUrl = "https://longhaul.example/v1/resume/s3cret-url";
const taken = { ...jsonAnswer({ job: 7 }), status: 202 };

async function waitOf(input: Readonly<Record<string, Json>>, answer: Answer, more: Partial<NodeContext> = {}): Promise<NodeWait> {
  const result = await httpKind.run(contextOf({ url: "http://x.test/", ...input }, fakeOutbound(answer), more));
  if (!(result instanceof Suspension)) throw new Error("the node does not wait");
  return result.wait;
}

async function resumed(wait: NodeWait, wake: Wake): Promise<unknown> {
  return httpKind.resume?.(contextOf({ url: "http://x.test/" }, fakeOutbound()), wait, wake);
}

test("a call that is taken waits for its callback, whose body becomes that of the output", async () => {
  const wait = await waitOf({ async: { timeout: "2h" } }, taken, { now: () => 1000 });
  expect(wait).toMatchObject({ kind: "callback", untilMs: 1000 + 7_200_000 });
  expect(JSON.stringify(wait)).not.toContain("s3cret-url");
  expect(await resumed(wait, { kind: "arrival", payload: { done: [1] }, by: "" })).toEqual({
    status: 202,
    headers: { "content-type": "application/json" },
    accepted: { job: 7 },
    body: { done: [1] },
  });
});

test("the wait survives being stored as JSON", async () => {
  const wait: NodeWait = JSON.parse(JSON.stringify(await waitOf({ async: { timeout: "1s" } }, { status: 204 })));
  expect(await resumed(wait, { kind: "arrival", payload: null, by: "" })).toEqual({
    status: 204,
    headers: {},
    accepted: null,
    body: null,
  });
});

test("no callback in time is a failure that may be tried again, with an outcome that nobody knows", async () => {
  const wait = await waitOf({ async: { timeout: "1s" } }, taken);
  expect(await failureOf(resumed(wait, { kind: "time" }))).toMatchObject({
    code: "callback_timeout",
    retryable: true,
    sent: "unknown",
  });
});

test("a wait that ends otherwise fails as it is told", async () => {
  const wait = await waitOf({ async: { timeout: "1s" } }, taken);
  const error = { code: "gone", message: "it went away", node: "a", retryable: false, details: { a: 1 } };
  expect(await failureOf(resumed(wait, { kind: "failed", error }))).toMatchObject({
    code: "gone",
    retryable: false,
    details: { a: 1 },
  });
});

test("the callback URL goes where the service looks for it", async () => {
  const sent = async (input: Readonly<Record<string, Json>>, urlIn?: Json) =>
    (await call({ method: "POST", ...input, async: { timeout: "1h", ...(urlIn === undefined ? {} : { urlIn }) } }, taken))
      .request;
  expect((await sent({ headers: { "x-a": "b" } })).headers).toMatchObject({ "longhaul-callback-url": callbackUrl, "x-a": "b" });
  const header = await sent({}, { header: "X-Hook" });
  expect(header.headers).toMatchObject({ "x-hook": callbackUrl });
  expect(header.headers["longhaul-callback-url"]).toBeUndefined();
  expect(new URL((await sent({ query: { a: 1 } }, { query: "cb" })).url).searchParams.get("cb")).toBe(callbackUrl);
  expect((await sent({ form: { a: 1 } }, { form: "cb" })).body).toBe(`a=1&cb=${encodeURIComponent(callbackUrl)}`);
  expect((await sent({ json: { a: 1, hooks: { b: 2 } } }, { json: "/hooks/done" })).body).toBe(
    JSON.stringify({ a: 1, hooks: { b: 2, done: callbackUrl } }),
  );
  expect((await sent({}, { json: "/a~1b/__proto__" })).body).toBe(`{"a/b":{"__proto__":"${callbackUrl}"}}`);
});

test("another try sends the same bytes", async () => {
  const input = { method: "POST", json: { a: 1 }, async: { timeout: "1h", urlIn: { json: "/cb" } } };
  const [first, second] = [await call(input, taken), await call(input, taken)];
  expect([second.request.body, second.request.headers]).toEqual([first.request.body, first.request.headers]);
});

test.each([200, 202, 204])("%i takes the call", async (status) => {
  expect(await waitOf({ async: { timeout: "1h" } }, { status })).toMatchObject({ kind: "callback" });
});

test.each([
  [302, false],
  [404, false],
  [429, true],
  [503, true],
])("%i does not, and nothing is waited for", async (status, retryable) => {
  expect(await failureOf(call({ async: { timeout: "1h" } }, { status }))).toMatchObject({
    code: "http_status",
    retryable,
    sent: "yes",
  });
});

test("what is said beside a taken call is cut at 64 KiB", async () => {
  const { request } = await call({ async: { timeout: "1h" } }, taken);
  expect(request).toMatchObject({ maxResponseBytes: 65_536, oversize: "truncate" });
});

test("the callback URL is shown neither to another origin nor in a failure", async () => {
  for (const urlIn of [undefined, { header: "x-hook" }]) {
    const { sent } = await call(
      { followRedirects: 1, async: { timeout: "1h", ...(urlIn && { urlIn }) } },
      { status: 307, headers: { location: "http://other.test/" } },
      taken,
    );
    expect(sent.map(({ headers }) => Object.values(headers).includes(callbackUrl))).toEqual([true, false]);
  }
  const repeated = { status: 500, body: Buffer.from(`cannot reach ${callbackUrl}`) };
  const failure = await failureOf(call({ async: { timeout: "1h", urlIn: { json: "/cb" } } }, repeated));
  expect(failure.details).toEqual({ status: 500, body: "cannot reach [redacted]" });
});

test.each<[string, Json, string]>([
  ["a timeout that is none", { timeout: "soon" }, "/with/async/timeout"],
  ["a timeout that is a number", { timeout: 5 }, "/with/async/timeout"],
  ["a timeout of years", { timeout: "9999d" }, "/with/async/timeout"],
  ["a place that nobody knows", { timeout: "1h", urlIn: { cookie: "a" } }, "/with/async/urlIn"],
])("async with %s is refused before anything is sent", async (_name, value, pointer) => {
  expect(await failureOf(call({ async: value }))).toMatchObject({ code: "invalid_request", sent: "no", details: { pointer } });
});

test("only a node with async takes arrivals", () => {
  expect(httpKind.accepts?.({ with: { url: "x", async: { timeout: "1h" } } })).toEqual({});
  for (const definition of [{}, { with: { url: "x" } }, { with: "x" }, { with: ["async"] }])
    expect(httpKind.accepts?.(definition)).toBeUndefined();
});

test("where nobody said how the outside reaches the gateway, nothing is sent and the mend is said", async () => {
  const run = waitOf({ async: { timeout: "1s" } }, taken, { resumeUrl: () => "/v1/resume/token" });
  expect(await failureOf(run)).toMatchObject({ code: "callback_not_possible", retryable: false, sent: "no" });
  await expect(run).rejects.toThrow("PUBLIC_URL");
});
