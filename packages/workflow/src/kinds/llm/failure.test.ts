import { type GuardedOutbound, guardedOutbound } from "@longhaul/shared";
import { type ModelAnswer, type ModelServer, modelServer } from "@longhaul/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Connection } from "../connection.ts";
import type { CallPermit } from "../kind.ts";
import { apiKey, connectionTo, llmWorld } from "./testing/llm-world.ts";

// Through the very outbound that executors use, to a server that speaks the real wire.

let server: ModelServer;
let outbound: GuardedOutbound;

beforeAll(async () => {
  server = await modelServer();
  outbound = guardedOutbound({ allow: ["127.0.0.0/8"] });
});
afterAll(async () => {
  await outbound.close();
  await server.stop();
});
beforeEach(() => server.answer(() => ({ kind: "text", pieces: ["Hello!"] })));

const world = (more: Partial<Connection> = {}, acquire?: () => CallPermit) =>
  llmWorld(outbound, connectionTo(server.baseUrl, more), acquire);

describe("a failure", () => {
  const status = (code: number, more: object = {}): ModelAnswer => ({
    kind: "status",
    status: code,
    body: { error: { message: "it is so", type: "some_error", code: "why" } },
    ...more,
  });

  test.each([
    ["429", status(429), "llm_rate_limited", true],
    ["500", status(500), "llm_unavailable", true],
    ["503", status(503, { body: "<html>gateway</html>" }), "llm_unavailable", true],
    ["400", status(400), "llm_refused", false],
    ["401", status(401), "llm_refused", false],
    ["404", status(404), "llm_refused", false],
    ["302", status(302, { headers: { location: "http://127.0.0.1:1/" } }), "llm_bad_answer", false],
  ] as const)("%s", async (_, answer, code, retryable) => {
    server.answer(() => answer);
    const self = world();
    const failure = await self.failure();
    expect(failure).toMatchObject({ code, retryable, sent: "yes", details: { status: Number(_) } });
    expect(failure.message).not.toContain("<html>");
    expect(self.released).toEqual([0]);
    expect(self.spent).toEqual([]);
  });

  test.each([
    [{ "retry-after": "7" }, 7000],
    [{ "retry-after-ms": "1500.5", "retry-after": "9" }, 1501],
    [{ "retry-after": "never" }, undefined],
  ])("keeps what %j asks to wait", async (headers, retryAfterMs) => {
    server.answer(() => status(429, { headers }));
    expect((await world().failure()).retryAfterMs).toBe(retryAfterMs);
  });

  test("of an account without money is not tried again", async () => {
    server.answer(() => status(429, { body: { error: { message: "pay first", code: "insufficient_quota" } } }));
    expect(await world().failure()).toMatchObject({ code: "llm_refused", retryable: false });
  });

  test("says what the server said, bounded and without key or header values", async () => {
    const message = `Incorrect API key provided: ${apiKey}; team blue-team-7 ${"long ".repeat(500)}`;
    server.answer(() => status(401, { body: { error: { message, code: apiKey } }, headers: { "x-request-id": apiKey } }));
    const failure = await world({ headers: { "x-team": "blue-team-7" } }).failure();
    const all = JSON.stringify([failure.message, failure.details, failure.stack, String(failure.cause)]);
    expect(failure.message).toContain("Incorrect API key provided: [redacted]");
    expect(all).not.toContain(apiKey);
    expect(all).not.toContain("blue-team-7");
    expect(failure.message.length).toBeLessThan(700);
  });

  test.each([
    ["that breaks", "break"],
    ["that just ends", "end"],
  ] as const)("of a stream %s is told from a whole answer, and what came is spent", async (_, how) => {
    server.answer(() => ({ kind: "cut", pieces: ["12345678"], how }));
    const self = world();
    expect(await self.failure()).toMatchObject({ code: "llm_cut_short", retryable: true, sent: "unknown" });
    expect(self.spent).toMatchObject([{ outputTokens: 2 }]);
    expect(self.told).toEqual([{ text: "12345678" }]);
  });

  test("of a slow drip ends with the connection's time", async () => {
    server.answer(() => ({ kind: "drip", everyMs: 5 }));
    const self = world({ timeoutMs: 150 });
    expect(await self.failure()).toMatchObject({ code: "llm_unavailable", retryable: true, sent: "unknown" });
    // Nobody knows what it took: the estimate stays counted.
    expect(self.released).toEqual([undefined]);
  });

  test("of a server that says nothing ends with the node's time", async () => {
    server.answer(() => ({ kind: "silence" }));
    expect(await world().failure({}, { timeoutMs: 100 })).toMatchObject({ code: "llm_unavailable", sent: "unknown" });
  });

  test("of a call ends before its place does", async () => {
    server.answer(() => ({ kind: "silence" }));
    const self = world({}, () => ({ kind: "permit", leaseMs: 1100, release: () => undefined }));
    expect(await self.failure()).toMatchObject({ code: "llm_unavailable" });
  });

  test.each([
    ["what is not JSON", { kind: "raw", contentType: "text/event-stream", body: "data: {oops\n\n" }, true],
    ["a page", { kind: "raw", contentType: "text/html", body: "<html>login</html>" }, false],
    ["JSON of another kind", { kind: "raw", contentType: "application/json", body: '{"hello":1}' }, false],
    ["no event at all", { kind: "raw", contentType: "text/event-stream", body: "" }, false],
    ["null", { kind: "raw", contentType: "text/event-stream", body: "data: null\n\n" }, false],
    ["an event without end", { kind: "raw", contentType: "text/event-stream", body: `data: ${"x".repeat(1_200_000)}` }, false],
  ] as const)("of %s is a bad answer", async (_, answer, retryable) => {
    server.answer(() => answer);
    expect(await world().failure()).toMatchObject({ code: "llm_bad_answer", retryable });
  });

  test.each([
    [{ message: "busy", code: "rate_limit_exceeded" }, "llm_rate_limited", true],
    [{ message: "too long", code: "context_length_exceeded" }, "llm_refused", false],
    [{ message: "no idea", type: "server_error" }, "llm_unavailable", true],
    ["just text", "llm_unavailable", true],
  ])("that comes as an event, %j", async (error, code, retryable) => {
    server.answer(() => ({ kind: "late-error", pieces: ["a"], error }));
    const failure = await world().failure();
    expect(failure).toMatchObject({ code, retryable });
    expect(failure.message).toContain(typeof error === "string" ? error : error.message);
  });

  test("of a model that refuses", async () => {
    server.answer(() => ({ kind: "refusal", text: "I cannot help with that." }));
    const failure = await world().failure();
    expect(failure).toMatchObject({ code: "llm_refused", retryable: false });
    expect(failure.message).toContain("I cannot help with that.");
    server.answer(() => ({ kind: "text", pieces: ["x"], finishReason: "content_filter" }));
    expect(await world().failure()).toMatchObject({ code: "llm_refused" });
  });

  test("of a server that is not there was never sent", async () => {
    const gone = await modelServer();
    await gone.stop();
    const failure = await llmWorld(outbound, connectionTo(gone.baseUrl)).failure();
    expect(failure).toMatchObject({ code: "llm_unavailable", retryable: true, sent: "no" });
  });

  test("of an address that may not be called is final", async () => {
    const closed = guardedOutbound({ allow: [] });
    const failure = await llmWorld(closed, connectionTo(server.baseUrl)).failure();
    expect(failure).toMatchObject({ code: "llm_unavailable", retryable: false, sent: "no" });
    expect(failure.message).toContain("OUTBOUND_ALLOW");
    await closed.close();
  });

  test("by cancelling is the signal's reason, in the middle of an answer, and the place is free", async () => {
    const stop = new AbortController();
    const reason = new Error("cancelled");
    server.answer(() => ({
      kind: "text",
      pieces: ["a", "b"],
      before: (index) => (index === 0 ? Promise.resolve() : new Promise(() => undefined)),
    }));
    const self = world();
    await expect(self.run({}, { signal: stop.signal, progress: () => stop.abort(reason) })).rejects.toBe(reason);
    expect(self.released).toHaveLength(1);
  });
});
