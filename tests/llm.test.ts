import { type ModelServer, modelServer } from "@longhaul/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Json } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const apiKey = "sk-of-the-model-server-1";
const ask = (connection: string, more: Readonly<Record<string, Json>> = {}) => ({
  id: "say",
  kind: "llm",
  with: { connection, messages: [{ role: "user", content: "${ input.ask }" }], ...more },
});

/** A door that is closed until it is opened. */
function door() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start({ env: { LEASE_MS: "1500" } }));
  let server: ModelServer;
  beforeAll(async () => {
    server = await modelServer();
  });
  afterAll(() => server.stop());

  async function connect(name: string, more: Readonly<Record<string, Json>> = {}): Promise<void> {
    const body = { baseUrl: server.baseUrl, apiKey, defaultModel: "small", ...more };
    const reply = await at.api.call(`/v1/connections/${name}`, { method: "PUT", body });
    expect(reply.status).toBe(200);
  }

  test("the words of a model reach whoever watches as they come, and what it took is on the node", async () => {
    await connect("stream");
    await at.api.put({ name: "stream", nodes: [ask("stream")], output: "${ nodes.say.text }" });
    const doors = [door(), door()];
    server.answer(() => ({
      kind: "text",
      pieces: ["Once ", "upon ", "a time"],
      usage: { input: 5, output: 3 },
      before: async (index) => doors[index - 1]?.opened,
    }));
    const { id } = await at.api.submit({ workflow: "stream", input: { ask: "a story" } });
    const deltas: Json[] = [];
    const kinds: string[] = [];
    // Nobody hears what is said before the watcher is there, so that the rest waits until each piece was seen.
    for await (const { event, data } of at.api.events(id)) {
      kinds.push(event);
      if (event !== "progress") {
        if (event === "node" && deltas.length === 0) doors[0]?.open();
        continue;
      }
      deltas.push(data);
      doors[deltas.length]?.open();
      doors[1]?.open();
    }
    expect(deltas).toContainEqual({ node: "say", delta: { text: "a time" } });
    expect(kinds.lastIndexOf("progress")).toBeLessThan(kinds.indexOf("end"));
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: "Once upon a time" });
    const [node] = await at.api.nodes(id);
    expect(node).toMatchObject({ kind: "llm", usage: { inputTokens: 5, outputTokens: 3, totalTokens: 8 } });
    expect(server.requests.at(-1)?.headers.authorization).toBe(`Bearer ${apiKey}`);
    const shown = await Promise.all(
      [`/v1/tasks/${id}`, `/v1/tasks/${id}/nodes`, "/v1/connections/stream"].map(async (path) => (await at.api.call(path)).text),
    );
    expect(shown.join()).not.toContain(apiKey);
  });

  test("a busy server is asked again after the time it asks for; an answer after a schema is an object", async () => {
    await connect("busy");
    const schema = { type: "object", required: ["n"], properties: { n: { type: "integer" } } };
    await at.api.put({ name: "busy", nodes: [ask("busy", { schema })], output: "${ nodes.say.object }" });
    let asked = 0;
    server.answer(() =>
      asked++ === 0
        ? { kind: "status", status: 429, headers: { "retry-after": "1" }, body: { error: { message: "slow down" } } }
        : { kind: "text", pieces: ['{"n":', "4}"] },
    );
    const { id } = await at.api.submit({ workflow: "busy", input: { ask: "a number" } });
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { n: 4 } });
    expect(asked).toBe(2);
  });

  test("no more calls are under way than the connection allows, and each waiting node says why", async () => {
    await connect("narrow", { concurrency: 2 });
    await at.api.put({ name: "narrow", nodes: [ask("narrow")] });
    const hold = door();
    const both = door();
    let most = 0;
    let now = 0;
    server.answer(() => ({
      kind: "text",
      pieces: ["a", "b"],
      before: async (index) => {
        if (index === 0) {
          now++;
          most = Math.max(most, now);
          if (now === 2) both.open();
          await hold.opened;
        }
        if (index === 2) now--;
      },
    }));
    const tasks = await Promise.all(Array.from({ length: 6 }, () => at.api.submit({ workflow: "narrow", input: { ask: "x" } })));
    await both.opened;
    hold.open();
    for (const { id } of tasks) expect(await at.api.ended(id)).toMatchObject({ state: "succeeded" });
    expect(most).toBe(2);
    const nodes = (await Promise.all(tasks.map(({ id }) => at.api.call(`/v1/tasks/${id}/nodes`)))).map(({ text }) => text).join();
    expect(nodes).toContain('connection \\"narrow\\" allows 2 calls at a time');
  });

  test("the place of an executor that was killed comes back, and the task goes on", async () => {
    await connect("killed", { concurrency: 1 });
    await at.api.put({ name: "killed", nodes: [ask("killed")] });
    const begun = door();
    let asked = 0;
    server.answer(() => ({
      kind: "text",
      pieces: ["done"],
      before: (index) => {
        if (index === 0 && asked++ === 0) {
          begun.open();
          return new Promise(() => undefined);
        }
        return Promise.resolve();
      },
    }));
    const { id } = await at.api.submit({ workflow: "killed", input: { ask: "x" } });
    await begun.opened;
    await at.system.service("executor").restart();
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { say: { text: "done" } } });
    const keys = server.requests.slice(-2).map(({ headers }) => headers["idempotency-key"]);
    expect(new Set(keys).size).toBe(1);
  });

  test("cancelling ends a call within a second", async () => {
    await connect("endless");
    await at.api.put({ name: "endless", nodes: [ask("endless")] });
    const begun = door();
    server.answer(() => {
      begun.open();
      return { kind: "drip", everyMs: 20 };
    });
    const before = server.load.now;
    const { id } = await at.api.submit({ workflow: "endless", input: { ask: "x" } });
    await begun.opened;
    const sent = performance.now();
    await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
    await expect.poll(() => server.load.now, { interval: 10, timeout: 5_000 }).toBe(before);
    expect(performance.now() - sent).toBeLessThan(1_000);
  });
});
