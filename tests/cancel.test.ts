import { describe, expect, test } from "vitest";
import type { TaskView } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

/** Within which a cancel must have done all that it does. */
const withinMs = 1_000;

describe.each(systems)("%s", (_name, start) => {
  // One task at a time and few tickets, so that a running one keeps the others in the backlog.
  const at = stage(() => start({ env: { EXECUTOR_CONCURRENCY: "1", DISPATCH_WINDOW: "1", LEASE_MS: "60000" } }));

  const holding = (name: string, more = {}) => ({
    name,
    nodes: [{ id: "call", kind: "http", with: { url: `${at.outside.url}/hold/${name}` }, ...more }],
  });

  async function cancelled(id: string, reason = ""): Promise<TaskView> {
    const begun = performance.now();
    const reply = await at.api.call(`/v1/tasks/${id}:cancel`, { body: reason === "" ? {} : { reason } });
    expect(reply.status).toBe(200);
    expect(reply.json()).toMatchObject({ id, state: "cancelled" });
    expect(await at.api.get(id)).toMatchObject({ state: "cancelled", error: { code: "cancelled" } });
    expect(performance.now() - begun).toBeLessThan(withinMs);
    return at.api.get(id);
  }

  test("a delayed task is cancelled and never starts", async () => {
    await at.api.put({ name: "delayed", nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/delayed` } }] });
    const task = await at.api.submit({ workflow: "delayed", notBefore: new Date(Date.now() + 1_000).toISOString() });
    expect(task.waitingFor?.kind).toBe("start_time");
    const ended = await cancelled(task.id, "no longer wanted");
    expect(ended).toMatchObject({ attempt: 0, error: { message: expect.stringContaining("no longer wanted") } });
    expect(ended).not.toHaveProperty("startTime");
    // A later one of the same kind runs, so the time of the first has come and gone.
    const later = await at.api.submit({ workflow: "delayed", notBefore: new Date(Date.now() + 1_100).toISOString() });
    await at.api.ended(later.id);
    expect(at.outside.calls.filter((call) => call.path === "/delayed")).toHaveLength(1);
    expect(await at.api.get(task.id)).toMatchObject({ state: "cancelled", attempt: 0 });
  });

  test("a running task is cancelled, its call outside aborted, and the slot is free for the next", async () => {
    await at.api.put(holding("running"));
    const task = await at.api.submit({ workflow: "running" });
    const call = await at.outside.called((one) => one.path === "/hold/running");
    const begun = performance.now();
    await cancelled(task.id);
    await at.outside.hungUp(call, withinMs);
    expect(performance.now() - begun).toBeLessThan(withinMs);

    await at.api.put({ name: "next", nodes: [{ id: "x", kind: "transform", with: {} }] });
    expect(await at.api.ended((await at.api.submit({ workflow: "next" })).id, 5_000)).toMatchObject({ state: "succeeded" });
    expect(await at.api.get(task.id)).not.toHaveProperty("output");
  });

  test("queued tasks, with a ticket and in the backlog, are cancelled behind a running one and never run", async () => {
    await at.api.put(holding("blocker"));
    await at.api.put({ name: "queued", nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/queued` } }] });
    const blocker = await at.api.submit({ workflow: "blocker" });
    await at.outside.called((one) => one.path === "/hold/blocker");
    const waiting: TaskView[] = [];
    for (let n = 0; n < 5; n++) waiting.push(await at.api.submit({ workflow: "queued", input: n }));
    const kinds = new Set<string | undefined>();
    for (const task of waiting.slice(0, 4)) {
      const shown = await at.api.get(task.id);
      expect(shown.state).toBe("queued");
      expect(shown.waitingFor?.reason).not.toBe("");
      kinds.add(shown.waitingFor?.kind);
      expect(await cancelled(task.id)).toMatchObject({ attempt: 0 });
    }
    expect(kinds).toEqual(new Set(["executor", "room"]));
    await cancelled(blocker.id);
    expect(await at.api.ended(waiting[4]?.id ?? "", 15_000)).toMatchObject({ state: "succeeded" });
    expect(at.outside.calls.filter((call) => call.path === "/queued")).toHaveLength(1);
  });

  test("a task that waits for its next try, in the executor and out of it, is cancelled and tried no more", async () => {
    at.outside.answer("/fails", () => 503);
    // Pauses over 10 s give the executor back.
    for (const delay of ["5s", "30s"]) {
      const name = `retrying-${delay}`;
      await at.api.put({
        name,
        nodes: [
          { id: "x", kind: "http", with: { url: `${at.outside.url}/fails/${name}` }, retry: { attempts: 5, delay, max: delay } },
        ],
      });
      const task = await at.api.submit({ workflow: name });
      await at.outside.called((one) => one.path === `/fails/${name}`);
      if (delay === "30s") {
        const waiting = await at.api.when(task.id, (one) => one.state === "queued" && one.attempt > 0, 10_000);
        expect(waiting.waitingFor).toMatchObject({ kind: "retry" });
      }
      await cancelled(task.id);
      await at.api.put({ name: "after", nodes: [{ id: "x", kind: "transform", with: {} }] });
      expect(await at.api.ended((await at.api.submit({ workflow: "after" })).id, 4_000)).toMatchObject({ state: "succeeded" });
      expect(at.outside.calls.filter((one) => one.path === `/fails/${name}`)).toHaveLength(1);
    }
  });

  test("a cancel of what has ended answers it as it is; batchCancel does many at once", async () => {
    await at.api.put({ name: "quick", nodes: [{ id: "x", kind: "transform", with: { v: 1 } }], output: "${ nodes.x.v }" });
    const done = await at.api.submit({ workflow: "quick" }, { prefer: "wait=20" });
    const again = await at.api.call(`/v1/tasks/${done.id}:cancel`, { body: {} });
    expect([again.status, again.json<TaskView>().state]).toEqual([200, "succeeded"]);

    await at.api.put(holding("many"));
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) ids.push((await at.api.submit({ workflow: "many" })).id);
    const missing = "01900000-0000-7000-8000-000000000000";
    const call = await at.outside.called((one) => one.path === "/hold/many");
    const begun = performance.now();
    const reply = await at.api.call("/v1/tasks:batchCancel", {
      body: { ids: [...ids, done.id, missing], reason: "all of them" },
    });
    const { tasks, missing: none } = reply.json<{ tasks: TaskView[]; missing: string[] }>();
    expect(tasks.map((task) => task.state)).toEqual([...ids.map(() => "cancelled"), "succeeded"]);
    expect(none).toEqual([missing]);
    await at.outside.hungUp(call, withinMs);
    expect(performance.now() - begun).toBeLessThan(withinMs);
  });
});
