import { describe, expect, test } from "vitest";
import { startLoad } from "./src/load.ts";
import { silence } from "./src/outside.ts";
import { stage } from "./src/stage.ts";
import { cluster, solo } from "./src/system.ts";

// A single try: whatever uses one up that it should not have fails its task.
const env = { MAX_TRIES: "1", DRAIN_MS: "8000", LEASE_MS: "20000" };

const kinds = [
  ["solo", () => solo({ env }), ["solo"], "solo"],
  ["cluster", () => cluster({ env }), ["gateway", "scheduler", "executor", "notifier"], "executor"],
] as const;

describe.each(kinds)("%s", (_name, start, services, runner) => {
  const at = stage(start);

  test.each(services)("SIGTERM to the %s under load: it ends with 0, uses up no tries, and nothing is lost", async (name) => {
    const load = await startLoad({
      api: at.api,
      outside: at.outside,
      hooks: at.hooks,
      name: `term-${name}`,
      tasks: 150,
      payMs: 60,
    });
    for (const count of [40, 90]) {
      await load.reached(count);
      const exit = await at.system.service(name).quit();
      expect(exit, at.system.service(name).output().slice(-2_000)).toEqual({ code: 0, signal: null });
      await at.system.service(name).restart();
    }
    await load.expectKept();
  });

  test("a task that runs longer than the drain is handed back without using up its try, and goes on elsewhere", async () => {
    await at.system.service(runner).restart({ DRAIN_MS: "300" });
    let calls = 0;
    at.outside.answer("/long", () => (++calls === 1 ? silence : { call: calls }));
    at.outside.answer("/before", () => ({}));
    await at.api.put({
      name: "long",
      nodes: [
        { id: "before", kind: "http", with: { method: "POST", url: `${at.outside.url}/before` } },
        { id: "long", kind: "http", needs: ["before"], with: { method: "POST", url: `${at.outside.url}/long` } },
      ],
      output: "${ nodes.long.body.call }",
    });
    const { id } = await at.api.submit({ workflow: "long" });
    const call = await at.outside.called((one) => one.path === "/long");
    const exit = await at.system.service(runner).quit();
    expect(exit).toEqual({ code: 0, signal: null });
    expect(call.aborted()).toBe(true);
    await at.system.service(runner).restart();
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: 2, attempt: 2 });
    expect(at.outside.keysOf("/long").size).toBe(1);
    expect(at.outside.calls.filter((one) => one.path === "/before")).toHaveLength(1);
  });

  test("a long poll and a stream that are open end in order when the process that serves them is told to go", async () => {
    const service = at.system.service(runner === "solo" ? "solo" : "gateway");
    await service.restart({ DRAIN_MS: "1000" });
    await at.api.put({ name: "hang", nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/hold/hang` } }] });
    const { id } = await at.api.submit({ workflow: "hang" });
    await at.outside.called((one) => one.path === "/hold/hang");
    const etag = String((await at.api.call(`/v1/tasks/${id}`)).headers["etag"]);
    const poll = at.api.call(`/v1/tasks/${id}`, { headers: { "if-none-match": etag, prefer: "wait=60" } });
    const events = at.api.events(id);
    const first = (await events.next()).value?.event;
    const stream = (async () => {
      const seen: string[] = [];
      for await (const event of events) seen.push(event.event);
      return seen;
    })();
    expect(first).toBeDefined();
    const exit = service.quit();
    expect([200, 304]).toContain((await poll).status);
    expect((await stream).includes("end")).toBe(false);
    expect(await exit).toEqual({ code: 0, signal: null });
    await service.restart();
    await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
  });
});
