import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { TaskView } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

const isWaiting = (task: TaskView): boolean => task.state === "waiting";

/** What is killed while a task waits; in solo both are the one process. */
const victims = ["scheduler", "executor"] as const;

describe.each(systems)("%s", (_name, start) => {
  // One place for one task: whatever holds it while it waits keeps every other from running.
  const at = stage(() => start({ env: { EXECUTOR_CONCURRENCY: "1", LEASE_MS: "1500" } }));

  const call = (id: string, needs: readonly string[] = []) => ({
    id,
    kind: "http",
    needs,
    with: { url: `${at.outside.url}/${id}-\${ input.tag }` },
  });
  const callsOf = (path: string): number => at.outside.calls.filter((one) => one.path === path).length;

  async function begun(
    workflow: string,
    more: Record<string, unknown> = {},
  ): Promise<{ readonly id: string; readonly tag: string }> {
    const tag = randomUUID();
    const { id } = await at.api.submit({ workflow, input: { tag, ...more } });
    await at.api.when(id, isWaiting);
    return { id, tag };
  }

  const linkOf = async (id: string, node: string): Promise<string> => {
    const reply = await at.api.call(`/v1/tasks/${id}:resumeLink`, { body: { node } });
    expect(reply.status).toBe(200);
    return `/v1/resume/${reply.json<{ readonly token: string }>().token}`;
  };
  const statusOf = async (path: string, body: unknown): Promise<number> => (await at.api.call(path, { body })).status;

  test("a waiting task holds no place, says what it waits for, and an approval by link lets it go on once", async () => {
    await at.api.put({ name: "ask", nodes: [{ id: "ok", kind: "approval", with: { prompt: "Go?" } }] });
    const { id } = await begun("ask");
    expect(await at.api.get(id)).toMatchObject({ waitingFor: { kind: "approval", node: "ok" } });
    await at.api.put({ name: "next", nodes: [{ id: "x", kind: "transform", with: {} }] });
    expect(await at.api.ended((await at.api.submit({ workflow: "next" })).id)).toMatchObject({ state: "succeeded" });

    const link = await linkOf(id, "ok");
    expect(await statusOf(`${link.slice(0, -4)}AAAA`, { choice: "approve" })).toBe(404);
    expect(await statusOf(link, { choice: "perhaps" })).toBe(422);
    expect((await at.api.get(id)).state).toBe("waiting");
    const answers = await Promise.all(Array.from({ length: 8 }, () => statusOf(link, { choice: "approve", by: "ann" })));
    expect(answers.sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
    const ended = await at.api.ended(id);
    expect(ended).toMatchObject({ state: "succeeded", output: { ok: { choice: "approve", by: "ann" } } });
    expect(await statusOf(link, { choice: "approve" })).toBe(409);
  });

  test("a link of a task that was cancelled is late, and a signal meets a conflict", async () => {
    await at.api.put({ name: "late", nodes: [{ id: "ok", kind: "approval", with: { prompt: "Go?" } }] });
    const { id } = await begun("late");
    const link = await linkOf(id, "ok");
    await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
    expect(await statusOf(link, { choice: "approve" })).toBe(410);
    expect(await statusOf(`/v1/tasks/${id}:signal`, { node: "ok", payload: { choice: "approve" } })).toBe(409);
  });

  test.each(victims)(
    "a signal that was answered survives kill -9 of the %s, and what ran before is not run again",
    async (victim) => {
      const name = `signal-${victim}`;
      await at.api.put({ name, nodes: [call("before"), { id: "go", kind: "signal", needs: ["before"] }, call("after", ["go"])] });
      const { id, tag } = await begun(name);
      expect(await statusOf(`/v1/tasks/${id}:signal`, { name: "go", payload: { n: 1 } })).toBe(200);
      await at.system.service(victim).restart();
      expect(await at.api.ended(id)).toMatchObject({ state: "succeeded" });
      expect((await at.api.nodes(id)).find(({ path }) => path === "go")?.output).toEqual({ n: 1 });
      expect(callsOf(`/before-${tag}`)).toBe(1);
      expect(callsOf(`/after-${tag}`)).toBe(1);
    },
  );

  test.each(victims)("a timer comes even though the %s was killed while it ran", async (victim) => {
    const name = `timer-${victim}`;
    await at.api.put({ name, nodes: [{ id: "w", kind: "wait", with: { for: "2s" } }, call("after", ["w"])] });
    const { id, tag } = await begun(name);
    await at.system.service(victim).restart();
    const ended = await at.api.ended(id);
    expect(ended).toMatchObject({ state: "succeeded" });
    expect(Date.parse(ended.endTime ?? "") - Date.parse(ended.createTime)).toBeGreaterThanOrEqual(2_000);
    expect(callsOf(`/after-${tag}`)).toBe(1);
  });

  test.each(victims)("a child's outcome reaches its parent although the %s is killed meanwhile", async (victim) => {
    const below = `kid-${victim}`;
    await at.api.put({ name: below, nodes: [{ id: "go", kind: "signal" }], output: "${ nodes.go }" });
    const name = `parent-${victim}`;
    await at.api.put({ name, nodes: [{ id: "k", kind: "workflow", with: { name: below, input: {} } }, call("after", ["k"])] });
    const { id, tag } = await begun(name);
    const [kid] = await at.api.list(`workflow=${below}`);
    if (kid === undefined) throw new Error("there is no child");
    await at.api.when(kid.id, isWaiting);
    expect(await statusOf(`/v1/tasks/${kid.id}:signal`, { name: "go", payload: 42 })).toBe(200);
    await at.system.service(victim).restart();
    expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: { after: expect.anything() } });
    expect((await at.api.nodes(id)).find(({ path }) => path === "k")?.output).toBe(42);
    expect(callsOf(`/after-${tag}`)).toBe(1);
  });

  test("a cancelled parent takes its awaited child with it within a second", async () => {
    await at.api.put({ name: "slow", nodes: [{ id: "go", kind: "signal" }] });
    await at.api.put({ name: "above", nodes: [{ id: "k", kind: "workflow", with: { name: "slow", input: {} } }] });
    const { id } = await begun("above");
    const [child] = await at.api.list("workflow=slow");
    await at.api.call(`/v1/tasks/${id}:cancel`, { body: {} });
    expect(await at.api.ended(child?.id ?? "", 1_000)).toMatchObject({ state: "cancelled" });
  });

  test.each(victims)(
    "items of a foreach go on one by one over kill -9 of the %s; a finished one is not run again",
    async (victim) => {
      const name = `each-${victim}`;
      const inner = { id: "call", kind: "http", with: { url: `${at.outside.url}/item-\${ input.tag }-\${ index }` } };
      const nodes = [inner, { id: "go", kind: "signal", needs: ["call"] }];
      const each = { id: "each", kind: "foreach", with: { items: [0, 1, 2], concurrency: 3 }, nodes, output: "${ nodes.go }" };
      await at.api.put({ name, nodes: [each], output: "${ nodes.each.results }" });
      const { id, tag } = await begun(name);
      expect(await statusOf(`/v1/tasks/${id}:signal`, { node: "each[1].go", payload: "b" })).toBe(200);
      await at.system.service(victim).restart();
      for (const [index, payload] of [
        [0, "a"],
        [2, "c"],
      ] as const)
        expect(await statusOf(`/v1/tasks/${id}:signal`, { node: `each[${index}].go`, payload })).toBe(200);
      expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: ["a", "b", "c"] });
      for (const index of [0, 1, 2]) expect(callsOf(`/item-${tag}-${index}`)).toBe(1);
    },
  );
});
