import { describe, expect, test } from "vitest";
import { type Api, api, type Problem, type TaskView } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { cluster, solo } from "./src/system.ts";

const kinds = [
  ["solo", () => solo()],
  ["cluster of two gateways and two schedulers", () => cluster({ gateways: 2, schedulers: 2 })],
] as const;

describe.each(kinds)("%s", (_name, start) => {
  const at = stage(start);
  const count = { name: "count", nodes: [{ id: "x", kind: "transform", with: { v: "${ input.n }" } }], output: "${ nodes.x.v }" };

  test("1,000 concurrent submits with one idempotency key make one task, which runs once", async () => {
    await at.api.put({
      name: "once",
      nodes: [{ id: "x", kind: "http", with: { method: "POST", url: `${at.outside.url}/once`, json: "${ input }" } }],
      output: "${ nodes.x.body.body }",
    });
    const callers: Api[] = at.system.urls.map((url) => api(url, { connections: 128 }));
    const replies = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        (callers[i % callers.length] ?? at.api).call("/v1/tasks", {
          headers: { "idempotency-key": i % 3 === 0 ? '"the-one"' : "the-one" },
          body: { workflow: "once", input: { n: 1 } },
        }),
      ),
    );
    await Promise.all(callers.map((one) => one.close()));
    expect(new Set(replies.map((reply) => reply.status))).toEqual(new Set([202]));
    const ids = new Set(replies.map((reply) => reply.json<TaskView>().id));
    expect(ids.size).toBe(1);
    expect(replies.filter((reply) => reply.headers["idempotent-replayed"] !== "true")).toHaveLength(1);
    const [id = ""] = ids;
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", attempt: 1 });
    expect(await at.api.list("workflow=once")).toHaveLength(1);
    expect(at.outside.calls.filter((call) => call.path === "/once")).toHaveLength(1);
  });

  test("the same key with another body is refused as idempotency_mismatch, before and after the end, and changes nothing", async () => {
    await at.api.put(count);
    const headers = { "idempotency-key": "k-1" };
    const first = await at.api.submit({ workflow: "count", input: { n: 1 } }, headers);
    const other = () => at.api.call("/v1/tasks", { headers, body: { workflow: "count", input: { n: 2 } } });
    const early = await other();
    await at.api.ended(first.id);
    for (const reply of [early, await other()]) {
      expect(reply.status).toBe(422);
      expect(reply.headers["content-type"]).toBe("application/problem+json");
      expect(reply.json<Problem>()).toMatchObject({ status: 422, code: "idempotency_mismatch" });
    }
    const again = await at.api.call("/v1/tasks", { headers, body: { workflow: "count", input: { n: 1 } } });
    expect(again.headers["idempotent-replayed"]).toBe("true");
    expect(again.json<TaskView>()).toMatchObject({ id: first.id, state: "succeeded", output: 1 });
    expect(await at.api.list("workflow=count")).toHaveLength(1);
  });

  test("many bodies racing under one key make one task; every other body is refused", async () => {
    await at.api.put({ ...count, name: "race" });
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        (at.apis[i % at.apis.length] ?? at.api).call("/v1/tasks", {
          headers: { "idempotency-key": "race" },
          body: { workflow: "race", input: { n: i % 5 } },
        }),
      ),
    );
    const accepted = replies.filter((reply) => reply.status === 202);
    const ids = new Set(accepted.map((reply) => reply.json<TaskView>().id));
    expect(ids.size).toBe(1);
    expect(accepted).toHaveLength(20);
    const refused = replies.filter((reply) => reply.status !== 202);
    expect(new Set(refused.map((reply) => `${reply.status} ${reply.json<Problem>().code}`))).toEqual(
      new Set(["422 idempotency_mismatch"]),
    );
    expect(await at.api.list("workflow=race")).toHaveLength(1);
  });

  test("a key counts within its workflow: the same one elsewhere is another task; request_id in the body is the same key", async () => {
    await at.api.put({ ...count, name: "scope-a" });
    await at.api.put({ ...count, name: "scope-b" });
    const headers = { "idempotency-key": "shared" };
    const a = await at.api.submit({ workflow: "scope-a", input: { n: 1 } }, headers);
    const b = await at.api.submit({ workflow: "scope-b", input: { n: 1 } }, headers);
    expect(a.id).not.toBe(b.id);
    const both = await at.api.call("/v1/tasks", {
      headers,
      body: { workflow: "scope-a", input: { n: 1 }, requestId: "another" },
    });
    expect(both.status).toBe(400);
    for (const key of ["", '"', "x".repeat(256), "tab\there"]) {
      const reply = await at.api.call("/v1/tasks", {
        headers: { "idempotency-key": key },
        body: { workflow: "scope-a", input: { n: 1 } },
      });
      expect(reply.status, JSON.stringify(key)).toBe(400);
    }
    expect(await at.api.list("workflow=scope-a")).toHaveLength(1);
  });

  test("a replay is answered even when the workflow was changed or taken out meanwhile", async () => {
    await at.api.put({ ...count, name: "gone" });
    const headers = { "idempotency-key": "kept" };
    const first = await at.api.submit({ workflow: "gone", input: { n: 3 } }, headers);
    expect((await at.api.call("/v1/workflows/gone", { method: "DELETE" })).status).toBe(204);
    const replay = await at.api.submit({ workflow: "gone", input: { n: 3 } }, headers);
    expect(replay.id).toBe(first.id);
    expect((await at.api.call("/v1/tasks", { body: { workflow: "gone", input: { n: 3 } } })).status).toBe(404);
  });
});
