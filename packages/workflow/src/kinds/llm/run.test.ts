import { type GuardedOutbound, guardedOutbound } from "@longhaul/shared";
import { type ModelAnswer, type ModelServer, modelServer } from "@longhaul/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Connection } from "../connection.ts";
import type { CallPermit, CallRequest, CallWait } from "../kind.ts";
import { apiKey, connectionTo, llmWorld } from "./testing/llm-world.ts";

// Through the very outbound that executors use, to a server that speaks the real wire.

let server: ModelServer;
let outbound: GuardedOutbound;
const text = (...pieces: string[]): ModelAnswer => ({ kind: "text", pieces });

beforeAll(async () => {
  server = await modelServer();
  outbound = guardedOutbound({ allow: ["127.0.0.0/8"] });
});
afterAll(async () => {
  await outbound.close();
  await server.stop();
});
beforeEach(() => server.answer(() => text("Hel", "lo", "!")));

const world = (more: Partial<Connection> = {}, acquire?: (request: CallRequest) => CallPermit | CallWait) =>
  llmWorld(outbound, connectionTo(server.baseUrl, more), acquire);
const last = () => {
  const request = server.requests.at(-1);
  if (request === undefined) throw new Error("nothing was asked");
  return request;
};

describe("an answer", () => {
  test("is told piece by piece while it comes", async () => {
    const self = world();
    let go: () => void = () => undefined;
    server.answer(() => ({
      kind: "text",
      pieces: ["one ", "two ", "three"],
      // Each piece goes out only when the one before was told.
      before: (index) =>
        index === 0 || self.told.length >= index
          ? Promise.resolve()
          : new Promise((resolve) => {
              go = resolve;
            }),
    }));
    const told = self.contextOf({ messages: [{ role: "user", content: "count" }] });
    const output = await self.run(
      {},
      {
        progress: (delta) => {
          told.progress(delta);
          go();
        },
      },
    );
    expect(self.told).toEqual([{ text: "one " }, { text: "two " }, { text: "three" }]);
    expect(output).toMatchObject({ text: "one two three", finishReason: "stop" });
  });

  test("comes with what it took, which is spent", async () => {
    server.answer(() => ({ kind: "text", pieces: ["a"], usage: { input: 11, output: 7 } }));
    const self = world();
    const output = await self.run();
    const usage = { inputTokens: 11, outputTokens: 7, totalTokens: 18, firstTokenMs: expect.any(Number) };
    expect(output).toEqual({ text: "a", usage, finishReason: "stop" });
    expect(self.spent).toEqual([usage]);
    expect(self.released).toEqual([18]);
  });

  test("of a server that does not count is estimated, and says so", async () => {
    server.answer(() => ({ kind: "text", pieces: ["12345678"], usage: false }));
    const self = world();
    const output = await self.run({ messages: [{ role: "user", content: "x".repeat(40) }] });
    expect(output).toMatchObject({ usage: { inputTokens: 14, outputTokens: 2, totalTokens: 16, estimated: true } });
    expect(self.spent).toMatchObject([{ totalTokens: 16 }]);
    expect(self.logged.join()).toContain("estimated");
  });

  test("in one piece is taken as well, and has no time to its first token", async () => {
    server.answer(() => ({ kind: "text", pieces: ["whole"], inOne: true }));
    const self = world();
    expect(await self.run()).toEqual({
      text: "whole",
      usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
      finishReason: "stop",
    });
  });

  test("that reached its most tokens says so", async () => {
    server.answer(() => ({ kind: "text", pieces: ["begin"], finishReason: "length" }));
    const self = world();
    expect(await self.run({ maxTokens: 1 })).toMatchObject({ text: "begin", finishReason: "length" });
    expect(self.logged).toEqual(["the answer was cut off at its most tokens"]);
  });
});

describe("a request", () => {
  test("has what the node says, and nothing else", async () => {
    const messages = [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        name: "ann",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } },
        ],
      },
    ];
    await world().run({
      model: "large",
      messages,
      temperature: 0,
      topP: 0.5,
      presencePenalty: -1,
      frequencyPenalty: 1.5,
      maxTokens: 9,
      stop: "END",
      seed: 4,
    });
    expect(last().path).toBe("/v1/chat/completions");
    expect(last().body).toEqual({
      model: "large",
      messages,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
      top_p: 0.5,
      presence_penalty: -1,
      frequency_penalty: 1.5,
      max_tokens: 9,
      stop: ["END"],
      seed: 4,
    });
  });

  test("carries the key, the connection's headers and the operation key, and says nothing of the machine or the environment", async () => {
    process.env["OPENAI_CUSTOM_HEADERS"] = "x-leak: environment";
    process.env["OPENAI_API_KEY"] = "sk-of-the-environment";
    process.env["OPENAI_ORG_ID"] = "org-of-the-environment";
    try {
      await world({ headers: { "x-team": "blue" } }).run();
    } finally {
      for (const name of ["OPENAI_CUSTOM_HEADERS", "OPENAI_API_KEY", "OPENAI_ORG_ID"]) delete process.env[name];
    }
    const { headers } = last();
    expect(headers).toMatchObject({
      authorization: `Bearer ${apiKey}`,
      "x-team": "blue",
      "idempotency-key": "00000000-0000-8000-8000-000000000001",
    });
    expect(Object.keys(headers).filter((name) => /^x-stainless|user-agent|openai|x-leak/.test(name))).toEqual([]);
    expect(JSON.stringify(headers)).not.toContain("environment");
  });

  test("of a connection without a key carries none", async () => {
    const { apiKey: _, ...open } = connectionTo(server.baseUrl);
    await llmWorld(outbound, open).run();
    expect(last().headers.authorization).toBeUndefined();
  });

  test("asks the connection's default model when it names none", async () => {
    await world({ defaultModel: "usual" }).run();
    expect(last().body.model).toBe("usual");
  });
});

describe("a request that cannot be", () => {
  const before = () => server.requests.length;
  test.each([
    [{ messages: [] }, "/with/messages"],
    [{ messages: [{ role: "robot", content: "x" }] }, "/with/messages/0/role"],
    [{ messages: [{ role: "user", content: { a: 1 } }] }, "/with/messages/0/content"],
    [{ messages: [{ role: "user", content: [{ type: "sound" }] }] }, "/with/messages/0/content/0"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "file:///etc/passwd" } }] }] },
      "/with/messages/0/content/0/image_url/url",
    ],
    [{ temperature: 3 }, "/with/temperature"],
    [{ maxTokens: 1.5 }, "/with/maxTokens"],
    [{ stop: [""] }, "/with/stop"],
    [{ seed: "x" }, "/with/seed"],
    [{ model: 4 }, "/with/model"],
    [{ connection: 4 }, "/with/connection"],
  ])("%j is told at %s and not sent", async (input, pointer) => {
    const count = before();
    expect(await world().failure(input)).toMatchObject({
      code: "invalid_request",
      retryable: false,
      sent: "no",
      details: { pointer, mend: expect.any(String) },
    });
    expect(server.requests).toHaveLength(count);
  });

  test("no model anywhere", async () => {
    const { defaultModel: _, ...bare } = connectionTo(server.baseUrl);
    const failure = await llmWorld(outbound, bare).failure();
    expect(failure).toMatchObject({ code: "invalid_request", retryable: false, details: { pointer: "/with/model" } });
    expect(failure.message).toContain('connection "default" has no default');
  });

  test("a model that the connection does not allow", async () => {
    const failure = await world({ allowedModels: ["small", "large"] }).failure({ model: "huge" });
    expect(failure).toMatchObject({ code: "invalid_request", details: { pointer: "/with/model" } });
    expect(failure.message).toContain("small, large");
    expect(await world({ allowedModels: ["small", "large"] }).run({ model: "large" })).toMatchObject({ text: "Hello!" });
  });

  test("a connection that does not exist", async () => {
    expect(await world().failure({ connection: "other" })).toMatchObject({ code: "connection_not_found", retryable: false });
  });
});

describe("an object", () => {
  const schema = {
    type: "object",
    required: ["name", "age"],
    additionalProperties: false,
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 0 } },
  };

  test("is asked for by its schema, checked, and beside the text", async () => {
    server.answer(() => text('{"name":"Ann",', '"age":4}'));
    expect(await world().run({ schema })).toMatchObject({ object: { name: "Ann", age: 4 }, text: '{"name":"Ann","age":4}' });
    expect(last().body.response_format).toEqual({ type: "json_schema", json_schema: { name: "answer", strict: true, schema } });
  });

  test("of a schema that leaves something open is not asked for strictly", async () => {
    server.answer(() => text("{}"));
    await world().run({ schema: { type: "object", properties: { a: { type: "string" } } } });
    expect(last().body.response_format?.json_schema?.strict).toBe(false);
  });

  test("may come inside of a fence", async () => {
    server.answer(() => text('```json\n{"name":"Bo","age":1}\n```\n'));
    expect(await world().run({ schema })).toMatchObject({ object: { name: "Bo", age: 1 } });
  });

  test.each([
    ['{"name":"Ann","age":-1}', "/age: Must be >= 0."],
    ['{"name":"Ann"}', 'The property "age" is missing.'],
    ["I would rather not", "the answer is not JSON"],
  ])("%s is none of the schema", async (answer, said) => {
    server.answer(() => text(answer));
    const self = world();
    const failure = await self.failure({ schema });
    expect(failure).toMatchObject({ code: "llm_invalid_object", retryable: true, sent: "yes" });
    expect(failure.message).toContain(said);
    // It was paid for all the same.
    expect(self.spent).toHaveLength(1);
  });

  test("that was cut off at its most tokens says what to do", async () => {
    server.answer(() => ({ kind: "text", pieces: ['{"name":'], finishReason: "length" }));
    expect((await world().failure({ schema })).message).toContain("raise maxTokens");
  });
});

describe("a place among the calls", () => {
  const wait = (waitMs: number): CallWait => ({ kind: "wait", waitMs, reason: 'connection "default" allows 1 call at a time' });

  test("is waited for, and the log says for which limit, once", async () => {
    const answers = [wait(1), wait(1)];
    const self = world({}, () => answers.shift() ?? self.permit);
    expect(await self.run()).toMatchObject({ text: "Hello!" });
    expect(self.logged).toEqual(['waiting: connection "default" allows 1 call at a time']);
    expect(new Set(self.asked.map(({ callId }) => callId)).size).toBe(1);
  });

  test("that takes longer lets the executor go, as a try that was none", async () => {
    const self = world({}, () => wait(45_000));
    const failure = await self.failure();
    expect(failure).toMatchObject({
      code: "llm_rate_limited",
      retryable: true,
      notTried: true,
      retryAfterMs: 45_000,
      sent: "no",
    });
    expect(failure.message).toContain("allows 1 call at a time");
  });

  test("is asked for with what the call may take", async () => {
    const self = world();
    await self.run({ messages: [{ role: "user", content: "x".repeat(400) }], maxTokens: 50 });
    expect(self.asked[0]?.estimatedTokens).toBe(154);
  });

  test("that comes when nobody wants it any more is given back", async () => {
    const stop = new AbortController();
    const self = world({}, () => {
      stop.abort(new Error("cancelled"));
      return self.permit;
    });
    await expect(self.run({}, { signal: stop.signal })).rejects.toThrow("cancelled");
    expect(self.released).toEqual([0]);
  });
});
