import type { Json, OutboundRequest, OutboundResponse } from "@longhaul/core";
import { afterAll, expect, test } from "vitest";
import { compileWorkflow } from "../definition/compile-workflow.ts";
import type { CompiledWorkflow } from "../definition/compiled-workflow.ts";
import { closeEvaluator } from "../expression/evaluate.ts";
import type { Connection } from "../kinds/connection.ts";
import { NodeFailure, type NodeKind } from "../kinds/kind.ts";
import type { TaskHooks, TaskOutcome } from "./task-run.ts";
import { answer, compiled, engineWorld, http, outputOf, transform } from "./testing/engine-world.ts";

const token = 'tok-/3cr3t "x" and more';
const secrets: Readonly<Record<string, string>> = { TOKEN: token, OTHER: "other-value-1" };

afterAll(() => closeEvaluator());

function worldOf(
  work: CompiledWorkflow | readonly Json[],
  more: {
    readonly workflow?: Readonly<Record<string, Json>>;
    readonly hooks?: Partial<TaskHooks>;
    readonly input?: Json;
    readonly respond?: (request: OutboundRequest) => Promise<OutboundResponse>;
  } = {},
) {
  const asked: (readonly string[])[] = [];
  const unexpected: unknown[] = [];
  const { workflow, hooks, ...rest } = more;
  const world = engineWorld("nodes" in work ? work : compiled(work, workflow), {
    ...rest,
    hooks: {
      secrets: async (names) => {
        asked.push(names);
        return Object.fromEntries(names.flatMap((name) => (secrets[name] === undefined ? [] : [[name, secrets[name]]])));
      },
      unexpected: (error) =>
        void unexpected.push(error instanceof Error ? [error.message, error.stack, String(error.cause)] : error),
      ...hooks,
    },
  });
  /** Everything that was stored in clear, told or logged. */
  const told = (outcome?: TaskOutcome): string =>
    JSON.stringify([
      world.records.map((record) => (record.secret === true ? { ...record, outputJson: undefined } : record)),
      world.progress,
      unexpected,
      [...world.cache],
      outcome,
    ]);
  return { ...world, asked, told };
}

function expectNoLeak(text: string): void {
  const base64 = Buffer.from(`user:${token}`).toString("base64").slice(8, -4);
  const found = ["tok-/3cr3t", "tok-\\/3cr3t", encodeURIComponent(token), base64, "tok-/3"].filter((form) => text.includes(form));
  expect(found, text).toEqual([]);
}

const bearer = (id: string, more: Readonly<Record<string, Json>> = {}) =>
  http(id, { with: { url: `http://service.test/${id}`, headers: { "x-token": "${ secrets.TOKEN }" } }, ...more });

/** Answers with everything that it was sent, as an echoing server does. */
const echo =
  (status: number) =>
  async (request: OutboundRequest): Promise<OutboundResponse> =>
    answer(status, { url: request.url, headers: { ...request.headers }, body: Buffer.from(request.body ?? "").toString() });

test("a call gets the value; its recorded input shows a placeholder", async () => {
  const world = worldOf(
    [
      http("call", {
        with: {
          method: "POST",
          url: "http://service.test/?k=${ secrets.TOKEN }",
          headers: { "x-token": "Bearer ${ secrets.TOKEN }" },
          json: { deep: [{ key: "${ secrets.OTHER }" }] },
        },
      }),
    ],
    {
      workflow: { output: { status: "${ nodes.call.status }" } },
    },
  );
  const outcome = await world.attempt();
  expect(outputOf(outcome)).toEqual({ status: 200 });
  expect(world.requests[0]?.headers["x-token"]).toBe(`Bearer ${token}`);
  expect(String(world.requests[0]?.url)).toContain("tok-");
  expect(Buffer.from(world.requests[0]?.body ?? "").toString()).toContain("other-value-1");
  expect(world.asked).toEqual([["TOKEN", "OTHER"]]);
  expect(JSON.parse(world.store.get("call")?.inputJson ?? "")).toMatchObject({ json: { deep: [{ key: "[secret]" }] } });
  expect(world.store.get("call")?.inputJson).toContain("[secret]");
  expectNoLeak(world.told(outcome));
});

test("a workflow without secrets asks for none", async () => {
  const world = worldOf([http("call")]);
  await world.attempt();
  expect(world.asked).toEqual([]);
});

test.each([400, 404, 503])("an echoing server that answers %i tells nothing through its failure", async (status) => {
  const world = worldOf(
    [
      bearer("call", {
        with: {
          url: "http://service.test/",
          query: { token: "${ secrets.TOKEN }" },
          headers: { "x-token": "${ secrets.TOKEN }" },
          auth: { basic: { username: "user", password: "${ secrets.TOKEN }" } },
          acceptStatus: [200],
        },
      }),
    ],
    {
      respond: echo(status),
    },
  );
  const outcome = await world.attempt();
  expect(outcome.kind).toBe("failed");
  expect(world.requests[0]?.headers["authorization"]).toBe(`Basic ${Buffer.from(`user:${token}`).toString("base64")}`);
  expect(world.told(outcome)).toContain("[secret]");
  expectNoLeak(world.told(outcome));
});

test("what an error says of the failed call, and later nodes make of it, is clean", async () => {
  const nodes = [
    bearer("call", { onError: "continue" }),
    transform("seen", "${ errors.call }", ["call"]),
    http("report", { needs: ["seen"], with: { method: "POST", url: "http://service.test/report", json: "${ nodes.seen }" } }),
  ];
  const world = worldOf(nodes, {
    respond: async (request) => {
      if (request.url.includes("report")) return answer(200);
      throw new Error(`connection to ${request.url} refused, headers ${JSON.stringify(request.headers)}`);
    },
  });
  const outcome = await world.attempt();
  expect(outcome.kind).toBe("succeeded");
  expectNoLeak(world.told(outcome));
  expectNoLeak(JSON.stringify(world.requests.filter(({ url }) => url.includes("report"))));
});

test("an output that holds a value is marked to be sealed, later nodes still get it", async () => {
  const nodes = [
    transform("made", { header: "Bearer ${ secrets.TOKEN }" }),
    http("call", { needs: ["made"], with: { url: "http://service.test/", headers: { "x-token": "${ nodes.made.header }" } } }),
    transform("status", "${ nodes.call.status }", ["call"]),
  ];
  const world = worldOf(nodes, { respond: echo(200), workflow: { output: "${ nodes.status }" } });
  const outcome = await world.attempt();
  expect(world.requests[0]?.headers["x-token"]).toBe(`Bearer ${token}`);
  expect(world.store.get("made")).toMatchObject({ secret: true, outputJson: expect.stringContaining("tok-") });
  expect(world.store.get("call")).toMatchObject({ secret: true });
  expect(world.store.get("status")?.secret).toBeUndefined();
  expectNoLeak(world.told(outcome));
});

test("an attempt that goes on behind the node that used a secret still keeps it out", async () => {
  const nodes = [
    transform("made", { header: "Bearer ${ secrets.TOKEN }" }),
    http("first", { needs: ["made"] }),
    http("call", { needs: ["first"], with: { url: "http://service.test/", headers: { "x-token": "${ nodes.made.header }" } } }),
  ];
  const world = worldOf(nodes, { workflow: { output: 1 } });
  // Stopped when the last call begins: both others are stored.
  await world.run(3).outcome;
  expect(world.store.get("first")?.state ?? world.store.get("made")?.state).toBeDefined();
  const outcome = await world.attempt();
  expect(outputOf(outcome)).toBe(1);
  expect(world.asked).toHaveLength(2);
  expectNoLeak(world.told(outcome));
});

test("console lines and failures of code tell nothing", async () => {
  const source =
    "export default ({ key }) => { console.log('key', key); console.log(JSON.stringify({ key })); console.log(encodeURIComponent(key)); throw new Error('bad ' + key); }";
  const world = worldOf([{ id: "run", kind: "code", with: { source, input: { key: "${ secrets.TOKEN }" } } }]);
  const outcome = await world.attempt();
  expect(outcome.kind).toBe("failed");
  expect(world.store.get("run")?.log?.map(({ line }) => line)).toEqual(["key [secret]", '{"key":"[secret]"}', "[secret]"]);
  expect(world.store.get("run")?.error?.message).toContain("[secret]");
  expectNoLeak(world.told(outcome));
});

test.each(["stop", "continue", "collect"])("errors of items tell nothing (%s)", async (onItemError) => {
  const each = {
    id: "each",
    kind: "foreach",
    with: { items: "${ [1, 2] }", onItemError },
    nodes: [
      bearer("call", {
        with: { url: "http://service.test/${ item }", headers: { "x-token": "${ secrets.TOKEN }" }, acceptStatus: [200] },
      }),
    ],
  };
  const world = worldOf([each], { respond: echo(403) });
  const outcome = await world.attempt();
  expect(world.requests[0]?.headers["x-token"]).toBe(token);
  expectNoLeak(world.told(outcome));
});

test("expression errors tell nothing", async () => {
  const world = worldOf([transform("a", "${ int(secrets.TOKEN) }"), transform("b", "${ secrets.TOKEN.nope }")]);
  expectNoLeak(world.told(await world.attempt()));
  const output = worldOf([transform("a", 1)], { workflow: { output: { x: "${ int(secrets.TOKEN) }" } } });
  const outcome = await output.attempt();
  expect(outcome).toMatchObject({ kind: "failed", error: { code: "expression_error" } });
  expectNoLeak(output.told(outcome));
});

test("what a wait shows tells nothing", async () => {
  const world = worldOf([{ id: "ok", kind: "approval", with: { prompt: "Send ${ secrets.TOKEN }?" } }]);
  const outcome = await world.attempt();
  expect(outcome.kind).toBe("wait");
  expect(JSON.stringify(world.store.get("ok")?.wait)).toContain("[secret]");
  expectNoLeak(world.told(outcome));
});

test("a value is not handed to another task, and a result that holds one is not kept", async () => {
  const child = worldOf([{ id: "other", kind: "workflow", with: { name: "w", input: { key: "${ secrets.TOKEN }" } } }]);
  const outcome = await child.attempt();
  expect(outcome).toMatchObject({ kind: "failed", error: { details: { code: "secret_handed_on" } } });
  expect(child.children.size).toBe(0);
  expectNoLeak(child.told(outcome));
  const kept = worldOf([bearer("call", { cache: { key: "x", ttl: "1h" } }), http("plain", { cache: { key: "x", ttl: "1h" } })], {
    respond: (request) => (request.url.includes("plain") ? Promise.resolve(answer(200, 1)) : echo(200)(request)),
    workflow: { output: 1 },
  });
  expectNoLeak(kept.told(await kept.attempt()));
  expect(kept.cache.size).toBe(1);
});

test("a missing secret fails its node with name and mend; one that is only asked for by has() does not", async () => {
  const world = worldOf([transform("a", { x: "key ${ secrets.NOPE }" })]);
  expect(await world.attempt()).toMatchObject({
    kind: "failed",
    error: {
      node: "a",
      message: 'there is no secret "NOPE" in this project; PUT /v1/secrets/NOPE sets it',
      details: { code: "secret_not_found", cause: { secret: "NOPE", pointer: "/nodes/0/with/x" } },
    },
  });
  const handled = worldOf([
    transform("a", "${ secrets.NOPE }", [], { onError: { output: "${ errors.a.code }" } }),
    transform("b", "${ has(secrets.NOPE) ? secrets.NOPE : 'none' }"),
    transform("c", "${ has(secrets.OTHER) }"),
  ]);
  expect(outputOf(await handled.attempt())).toEqual({ a: "secret_not_found", b: "none", c: true });
  const output = worldOf([transform("a", 1)], { workflow: { output: "${ secrets.NOPE }" } });
  expect(await output.attempt()).toMatchObject({ kind: "failed", error: { code: "secret_not_found" } });
});

test("without an answer to the question for secrets, nothing begins", async () => {
  const world = worldOf([bearer("call")], { hooks: { secrets: () => Promise.reject(new Error("away")) } });
  expect(await world.attempt()).toMatchObject({ kind: "aborted", cause: { message: "away" } });
  expect([world.requests, world.records]).toEqual([[], []]);
});

test("a long expression, which another thread evaluates, gets its secret", async () => {
  const world = worldOf(
    [transform("a", "${ input.list.map(x, input.list.map(y, x * y).size()).size() > 1 && secrets.OTHER == 'other-value-1' }")],
    { input: { list: Array.from({ length: 300 }, (_, i) => i) } },
  );
  expect(outputOf(await world.attempt())).toEqual({ a: true });
});

test("what is left of a value where a service's answer is cut is gone too", async () => {
  const respond = async () => answer(400, `${"x".repeat(1_010)} ${token}`);
  const world = worldOf(
    [
      bearer("call", {
        with: { url: "http://service.test/", headers: { "x-token": "${ secrets.TOKEN }" }, acceptStatus: [200] },
      }),
    ],
    { respond },
  );
  const outcome = await world.attempt();
  expect(JSON.stringify(outcome)).toMatch(/x \[secret\]"/);
  expectNoLeak(world.told(outcome));
});

/** The definition with another run function behind its kinds: what kinds to come may do. */
function withRun(nodes: readonly Json[], run: NodeKind["run"]): CompiledWorkflow {
  const workflow = compiled(nodes);
  return { ...workflow, nodes: workflow.nodes.map((node) => ({ ...node, kind: { ...node.kind, run } })) };
}

const connection: Connection = {
  name: "default",
  kind: "openai",
  baseUrl: "http://models.test/v1",
  apiKey: token,
  allowedModels: [],
  concurrency: 0,
  requestsPerMinute: 0,
  tokensPerMinute: 0,
  headers: {},
  timeoutMs: 1_000,
};

test("the key of a connection is kept out like a secret, also where it streams back in pieces", async () => {
  const workflow = withRun([http("call")], async ({ services, progress, log }) => {
    const { apiKey = "" } = await services.connection("default");
    for (const char of `begin ${apiKey} end`) progress({ text: char });
    log(`called with ${apiKey}`);
    throw new NodeFailure("llm_failed", `the key ${apiKey} is wrong`, { retryable: false, details: { sent: [apiKey] } });
  });
  const none = () => Promise.reject(new Error("none"));
  const services = { startChild: none, acquireCall: none, submitJob: none, connection: async () => connection };
  const world = worldOf(workflow, { hooks: { services } });
  const outcome = await world.attempt();
  expect(outcome).toMatchObject({
    kind: "failed",
    error: { message: "the key [secret] is wrong", details: { cause: { sent: ["[secret]"] } } },
  });
  expect(world.store.get("call")?.log?.[0]?.line).toBe("called with [secret]");
  const shown = world.progress.map((each) => JSON.stringify(each).replace(/^.*"text":"(.*)"}]$/, "$1")).join("");
  expect(shown).toBe("begin [secret] end");
  expectNoLeak(world.told(outcome));
});

test("an error that no kind should throw is logged without values", async () => {
  const workflow = withRun([bearer("call")], ({ input }) => {
    throw new TypeError(`cannot read ${JSON.stringify(input)}`, { cause: input });
  });
  const world = worldOf(workflow);
  const outcome = await world.attempt();
  expect(world.told(outcome)).toContain("cannot read");
  expectNoLeak(world.told(outcome));
});

test("a definition uses a bounded number of secrets", () => {
  const using = (count: number) =>
    compileWorkflow({
      name: "w",
      nodes: [
        transform(
          "a",
          Array.from({ length: count }, (_, i) => `\${ secrets.S${i} }`),
        ),
      ],
    });
  expect(using(100).ok).toBe(true);
  expect(using(101)).toMatchObject({ ok: false, faults: [{ pointer: "/nodes", mend: "Use at most 100 in one workflow." }] });
});

test("definitions say which secrets they mention, and name them plainly", () => {
  const workflow = compiled(
    [
      bearer("call", {
        when: "${ has(secrets.GATE) }",
        onError: { output: "${ secrets.FALLBACK }" },
        cache: { key: "${ secrets.SALT }", ttl: "1m" },
      }),
      {
        id: "each",
        kind: "foreach",
        with: { items: "${ [1] }" },
        nodes: [transform("in", "${ secrets['INNER'] }")],
        output: "${ secrets.OUT }",
      },
    ],
    { output: "${ secrets.END }" },
  );
  expect(new Set(workflow.secrets.map(({ name }) => name))).toEqual(
    new Set(["TOKEN", "GATE", "FALLBACK", "SALT", "INNER", "OUT", "END"]),
  );
  for (const expression of ["${ secrets }", "${ secrets[input.name] }", "${ secrets['no-name'] }", "${ secrets.map(k, k) }"]) {
    const result = compileWorkflow({ name: "w", nodes: [transform("a", expression)] });
    expect(result).toMatchObject({ ok: false, faults: [{ pointer: "/nodes/0/with", message: expect.stringMatching(/secret/) }] });
  }
});
