import type { Json } from "@longhaul/core";
import { type GuardedOutbound, guardedOutbound } from "@longhaul/shared";
import { type ModelServer, modelServer } from "@longhaul/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { compileWorkflow } from "../../definition/compile-workflow.ts";
import { compiled, engineWorld, outputOf } from "../../engine/testing/engine-world.ts";
import { closeEvaluator } from "../../expression/evaluate.ts";
import type { CallPermit, CallWait } from "../kind.ts";
import { apiKey, connectionTo, llmWorld } from "./testing/llm-world.ts";

let server: ModelServer;
let outbound: GuardedOutbound;

beforeAll(async () => {
  server = await modelServer();
  outbound = guardedOutbound({ allow: ["127.0.0.0/8"] });
});
afterAll(async () => {
  await outbound.close();
  await server.stop();
  await closeEvaluator();
});
beforeEach(() => server.answer(() => ({ kind: "text", pieces: ["Hello"], usage: { input: 3, output: 4 } })));

const ask = (id: string, more: Readonly<Record<string, Json>> = {}): Json => ({
  id,
  kind: "llm",
  with: { messages: [{ role: "user", content: "Hello to ${ input.name }" }] },
  ...more,
});

function world(nodes: readonly Json[], more: Readonly<Record<string, Json>> = {}, acquire?: () => CallPermit | CallWait) {
  const kind = llmWorld(outbound, connectionTo(server.baseUrl), acquire);
  const { services } = kind.contextOf(null);
  return engineWorld(compiled(nodes, more), { input: { name: "Ann" }, hooks: { outbound, services } });
}

/** Lets a run go through its pauses. */
async function through(self: ReturnType<typeof world>) {
  const { outcome } = self.run();
  let isOver = false;
  const over = outcome.finally(() => {
    isOver = true;
  });
  const turning = setInterval(() => self.turn(1000), 2);
  await over.catch(() => undefined);
  clearInterval(turning);
  expect(isOver).toBe(true);
  return outcome;
}

test("its answer, its usage and its spend are on record", async () => {
  const self = world([ask("say")], { output: "${ nodes.say.text + '!' }" });
  expect(outputOf(await self.attempt())).toBe("Hello!");
  expect(server.requests.at(-1)?.body.messages).toEqual([{ role: "user", content: "Hello to Ann" }]);
  expect(self.store.get("say")).toMatchObject({
    state: "succeeded",
    usage: { inputTokens: 3, outputTokens: 4, totalTokens: 7, firstTokenMs: expect.any(Number) },
  });
  expect(self.spent()).toMatchObject({ tokens: 7, calls: 1 });
  expect(self.progress).toEqual([["say", { text: "Hello" }]]);
});

test("an image that is given itself is sent whole and recorded by its beginning", async () => {
  const url = `data:image/png;base64,${"A".repeat(5000)}`;
  const parts = [
    { type: "text", text: "What is it?" },
    { type: "image_url", image_url: { url } },
    { type: "image_url", image_url: { url: "https://images.test/a.png" } },
  ];
  const self = world([{ id: "say", kind: "llm", with: { messages: [{ role: "user", content: parts }] } }]);
  await self.attempt();
  expect(server.requests.at(-1)?.body.messages).toEqual([{ role: "user", content: parts }]);
  const recorded = JSON.parse(self.store.get("say")?.inputJson ?? "null");
  const [text, image, link] = recorded.messages[0].content;
  expect([text, link]).toEqual([parts[0], parts[2]]);
  expect(image.image_url.url).toMatch(/^data:image\/png;base64,A{38}… \(5022 characters\)$/);
});

describe("tries", () => {
  test("are three where the definition says nothing, each with the same operation key", async () => {
    const from = server.requests.length;
    server.answer(() => ({ kind: "status", status: 500 }));
    const outcome = await through(world([ask("say")]));
    expect(outcome).toMatchObject({ kind: "failed", error: { details: { code: "llm_unavailable" } } });
    const keys = server.requests.slice(from).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
  });

  test("are what the definition says", async () => {
    const from = server.requests.length;
    server.answer(() => ({ kind: "status", status: 500 }));
    await through(world([ask("say", { retry: { attempts: 2 } })]));
    expect(server.requests.length - from).toBe(2);
  });

  test("wait as long as the server asks", async () => {
    let asked = 0;
    server.answer(() =>
      asked++ === 0 ? { kind: "status", status: 429, headers: { "retry-after": "40" } } : { kind: "text", pieces: ["ok"] },
    );
    const self = world([ask("say")]);
    // Longer than an executor is held for a pause.
    expect(await self.attempt()).toMatchObject({ kind: "backoff", node: "say", delayMs: 40_000 });
    self.turn(40_000);
    expect(outputOf(await self.attempt())).toMatchObject({ say: { text: "ok" } });
    expect(self.store.get("say")?.tries).toBe(2);
  });

  test("are not made of what stays wrong", async () => {
    const from = server.requests.length;
    server.answer(() => ({ kind: "status", status: 401, body: { error: { message: `bad key ${apiKey}` } } }));
    const outcome = await through(world([ask("say")]));
    expect(server.requests.length - from).toBe(1);
    expect(outcome).toMatchObject({ kind: "failed", error: { details: { code: "llm_refused" } } });
    expect(JSON.stringify(outcome)).not.toContain(apiKey);
  });

  test("are not used up, and no calls counted, while a limit of the connection lets nothing begin", async () => {
    const from = server.requests.length;
    const reason = 'connection "default" allows 1 call per minute';
    let waits = 5;
    let permit: CallPermit | undefined;
    const self = world([ask("say", { retry: { attempts: 1 } })], { limits: { calls: 2 } }, () => {
      if (waits-- > 0) return { kind: "wait", waitMs: 30_000, reason };
      permit ??= { kind: "permit", leaseMs: 60_000, release: () => undefined };
      return permit;
    });
    for (let n = 0; n < 5; n++) {
      expect(await self.attempt()).toMatchObject({ kind: "backoff", node: "say", delayMs: 30_000 });
      expect(self.store.get("say")).toMatchObject({
        state: "running",
        tries: 0,
        error: { code: "llm_rate_limited", message: `the call waits for its turn: ${reason}` },
        log: [{ line: `waiting: ${reason}` }],
      });
      self.turn(30_000);
    }
    expect(outputOf(await self.attempt())).toMatchObject({ say: { text: "Hello" } });
    expect(server.requests.length - from).toBe(1);
    expect(self.store.get("say")?.tries).toBe(1);
    expect(self.spent()?.calls).toBe(1);
  });
});

test("a ceiling of tokens stops the next node", async () => {
  const self = world([ask("one"), ask("two", { needs: ["one"] })], { limits: { tokens: 7 } });
  expect(await self.attempt()).toMatchObject({ kind: "failed", error: { code: "budget_exceeded" } });
});

test("a definition is checked: places that cannot be, and schemas that no answer could be held against", () => {
  const faultsOf = (given: Json) => {
    const result = compileWorkflow({ name: "w", nodes: [{ id: "say", kind: "llm", with: given }] });
    return result.ok ? [] : result.faults.map(({ pointer }) => pointer);
  };
  const messages = [{ role: "user", content: "x" }];
  expect(faultsOf({ messages })).toEqual([]);
  expect(faultsOf({ messages: "${ input.messages }", temperature: "${ input.t }" })).toEqual([]);
  expect(faultsOf({ messages, schema: { type: "object", properties: { a: { pattern: "${" } } } })).toEqual([]);
  expect(faultsOf({})).toEqual(["/nodes/0/with"]);
  expect(faultsOf({ messages: [{ role: "robot", content: "x" }] })).toEqual(["/nodes/0/with/messages/0/role"]);
  expect(faultsOf({ messages, temprature: 1 })).toEqual(["/nodes/0/with/temprature"]);
  expect(faultsOf({ messages, temperature: 9 })).toEqual(["/nodes/0/with/temperature"]);
  expect(faultsOf({ messages, schema: { type: "objekt" } })).toEqual(["/nodes/0/with/schema/type"]);
});
