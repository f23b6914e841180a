import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const value = 'Zk9-SUPER/s3cret+value "q"';
const forms = ["SUPER/s3cret", encodeURIComponent(value), Buffer.from(value).toString("base64").slice(0, -3)];

function expectNone(text: string): void {
  expect(forms.filter((form) => text.includes(form))).toEqual([]);
}

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start());

  test("a secret reaches the service that is called, and nothing that anybody can read", async () => {
    at.outside.answer("/echo", ({ path, headers, body }) => ({ path, headers, body }));
    const put = await at.api.call("/v1/secrets/TOKEN", { method: "PUT", body: { value, description: "of a service" } });
    expect([put.status, put.json()]).toMatchObject([200, { name: "TOKEN" }]);
    const call = { method: "POST", url: `${at.outside.url}/echo?k=\${ secrets.TOKEN }`, json: { key: "${ secrets.TOKEN }" } };
    await at.api.put({
      name: "use",
      nodes: [
        { id: "made", kind: "transform", with: { header: "Bearer ${ secrets.TOKEN }" } },
        { id: "call", kind: "http", needs: ["made"], with: { ...call, headers: { "x-token": "${ nodes.made.header }" } } },
        {
          id: "next",
          kind: "http",
          needs: ["call"],
          with: { ...call, headers: { "x-token": '${ nodes.call.body.headers["x-token"] }' } },
        },
        {
          id: "code",
          kind: "code",
          onError: "continue",
          with: {
            source: "export default ({ key }) => { console.log('key', key); throw new Error(key); }",
            input: { key: "${ secrets.TOKEN }" },
          },
        },
      ],
      output: { status: "${ nodes.next.status }", why: "${ errors.code.message }" },
    });
    const { id } = await at.api.submit({ workflow: "use", input: {} });
    const task = await at.api.ended(id);
    expect(task).toMatchObject({ state: "succeeded", output: { status: 200 } });

    const calls = at.outside.calls.filter(({ path }) => path.startsWith("/echo"));
    expect(calls.map(({ headers }) => headers["x-token"])).toEqual([`Bearer ${value}`, `Bearer ${value}`]);
    expect(calls.map(({ body }) => JSON.parse(body))).toEqual([{ key: value }, { key: value }]);

    const readable = await Promise.all(
      [`/v1/tasks/${id}`, `/v1/tasks/${id}/nodes`, "/v1/secrets", "/v1/tasks", "/v1/workflows/use"].map((path) =>
        at.api.call(path),
      ),
    );
    const text = readable.map((reply) => reply.text).join("\n");
    expect(text).toContain("key [secret]");
    expectNone(text);
    if ("dataDir" in at.system && typeof at.system.dataDir === "string") {
      const files = (await readdir(at.system.dataDir)).filter((name) => name.includes(".db"));
      expect(files.length).toBeGreaterThan(0);
      for (const name of files) expectNone((await readFile(join(at.system.dataDir, name))).toString("latin1"));
    }
  });

  test("a missing secret fails its node and says how to set it; set, the retry succeeds", async () => {
    await at.api.put({ name: "late", nodes: [{ id: "a", kind: "transform", with: { size: "${ size(secrets.LATE) }" } }] });
    const { id } = await at.api.submit({ workflow: "late", input: {} });
    const failed = await at.api.ended(id);
    expect(failed).toMatchObject({
      state: "failed",
      error: { node: "a", message: expect.stringContaining("PUT /v1/secrets/LATE") },
    });
    await at.api.call("/v1/secrets/LATE", { method: "PUT", body: { value: "now there" } });
    const retried = await at.api.call(`/v1/tasks/${id}:retry`, { method: "POST" });
    expect(await at.api.ended(retried.json<{ readonly id: string }>().id)).toMatchObject({ output: { a: { size: 9 } } });
  });

  test("a disabled workflow takes no tasks until it is enabled", async () => {
    await at.api.put({ name: "switched", nodes: [{ id: "a", kind: "transform", with: 1 }] });
    expect((await at.api.call("/v1/workflows/switched:disable", { method: "POST" })).json()).toMatchObject({ enabled: false });
    const refused = await at.api.call("/v1/tasks", { body: { workflow: "switched", input: {} } });
    expect([refused.status, refused.json()]).toMatchObject([409, { code: "conflict" }]);
    expect((await at.api.call("/v1/workflows/switched:enable", { method: "POST" })).json()).toMatchObject({ enabled: true });
    await at.api.ended((await at.api.submit({ workflow: "switched", input: {} })).id);
  });

  test("a cached result is used by the next task, and is not when its key is another one", async () => {
    await at.api.put({
      name: "cached",
      nodes: [{ id: "a", kind: "http", cache: { key: "${ input.k }", ttl: "1h" }, with: { url: `${at.outside.url}/cached` } }],
      output: "${ nodes.a.status }",
    });
    const run = async (k: number) => at.api.ended((await at.api.submit({ workflow: "cached", input: { k } })).id);
    const called = async (k: number) => {
      const before = at.outside.keysOf("/cached").size;
      expect(await run(k)).toMatchObject({ state: "succeeded", output: 200 });
      return at.outside.keysOf("/cached").size - before;
    };
    expect(await called(1)).toBe(1);
    // What is kept is written beside the task's own way.
    await expect.poll(() => called(1), { timeout: 10_000 }).toBe(0);
    expect(await called(2)).toBe(1);
  });
});
