import { describe, expect, test } from "vitest";
import type { TaskView } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";

describe.each(systems)("%s", (_name, start) => {
  const at = stage(() => start({ env: { EXECUTOR_CONCURRENCY: "1", DISPATCH_WINDOW: "1", LEASE_MS: "60000" } }));

  /** Submits while one task holds the only slot, lets go, and answers in which order the calls came. */
  async function orderOf(name: string, priorities: readonly number[]): Promise<{ order: number[]; tasks: TaskView[] }> {
    await at.api.put({
      name: `${name}-block`,
      nodes: [{ id: "x", kind: "http", with: { url: `${at.outside.url}/block/${name}` } }],
    });
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    at.outside.answer(`/block/${name}`, async () => {
      await opened;
      return {};
    });
    await at.api.put({
      name,
      nodes: [{ id: "x", kind: "http", with: { method: "POST", url: `${at.outside.url}/${name}`, json: "${ input }" } }],
    });
    await at.api.submit({ workflow: `${name}-block` });
    await at.outside.called((call) => call.path === `/block/${name}`);
    const tasks: TaskView[] = [];
    for (const [n, priority] of priorities.entries()) tasks.push(await at.api.submit({ workflow: name, input: n, priority }));
    open();
    for (const task of tasks) expect(await at.api.ended(task.id)).toMatchObject({ state: "succeeded" });
    return { order: at.outside.calls.filter((call) => call.path === `/${name}`).map((call) => Number(call.body)), tasks };
  }

  test("tasks of one priority start in the order in which they were accepted", async () => {
    const { order, tasks } = await orderOf("fifo", Array(24).fill(0));
    expect(order).toEqual(order.map((_, n) => n));
    const times = await Promise.all(tasks.map(async (task) => (await at.api.get(task.id)).startTime ?? ""));
    expect(times).toEqual([...times].sort());
  });

  test("a higher priority goes first; within one, first in, first out", async () => {
    const priorities = Array.from({ length: 30 }, (_, n) => [0, 50, -100, 100, -1][n % 5] ?? 0);
    const { order } = await orderOf("priority", priorities);
    const wanted = priorities
      .map((priority, n) => ({ priority, n }))
      .sort((a, b) => b.priority - a.priority || a.n - b.n)
      .map(({ n }) => n);
    // What had its ticket before a higher one came keeps it: one ticket, by the window.
    const [ticketed] = order;
    expect(ticketed).toBe(0);
    expect(order.slice(1)).toEqual(wanted.filter((n) => n !== ticketed));
  });
});
