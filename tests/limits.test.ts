import { describe, expect, test } from "vitest";
import type { Api, TaskView } from "./src/api.ts";
import type { Outside, OutsideCall } from "./src/outside.ts";
import { type Stage, stage } from "./src/stage.ts";
import { cluster, solo } from "./src/system.ts";
import { until } from "./src/until.ts";

/** The shortest lease there is, so that what a killed executor held comes back soon. */
const env = { LEASE_MS: "1500" };
const workMs = 50;

interface LimitView {
  readonly key: string;
  readonly concurrency: number;
  readonly used: number;
  readonly waiting: number;
  readonly holders: readonly { readonly taskId: string; readonly since: string }[];
  readonly source: string;
}

/** Counts, from outside, how many calls of a workflow are under way at the same time. */
function counting(outside: Outside, path: string): { readonly most: () => number; readonly now: () => number; reset(): void } {
  let now = 0;
  let most = 0;
  outside.answer(path, async (call: OutsideCall) => {
    now++;
    most = Math.max(most, now);
    let isOver = false;
    const over = (): void => {
      if (!isOver) now--;
      isOver = true;
    };
    // Whoever is killed hangs up.
    call.response.once("close", over);
    await new Promise((resolve) => setTimeout(resolve, workMs));
    over();
    return {};
  });
  return {
    most: () => most,
    now: () => now,
    reset() {
      most = now;
    },
  };
}

async function define(api: Api, outside: Outside, name: string, limits: Record<string, unknown>): Promise<void> {
  const call = { id: "work", kind: "http", with: { url: `${outside.url}/${name}` }, retry: { attempts: 5, delay: "100ms" } };
  await api.put({ name, limits, nodes: [call] });
}

async function submitMany(api: Api, workflow: string, count: number): Promise<string[]> {
  const tasks = await Promise.all(Array.from({ length: count }, (_, n) => api.submit({ workflow, input: { n } })));
  return tasks.map(({ id }) => id);
}

const limitOf = async (api: Api, key: string): Promise<LimitView> => (await api.call(`/v1/limits/${key}`)).json<LimitView>();
const putLimit = (api: Api, key: string, concurrency: number) =>
  api.call(`/v1/limits/${key}`, { method: "PUT", body: { concurrency } });

async function allSucceed(api: Api, ids: readonly string[]): Promise<void> {
  const tasks = await Promise.all(ids.map((id) => api.ended(id, 90_000)));
  expect(tasks.filter(({ state }) => state !== "succeeded").map(({ id, error }) => [id, error])).toEqual([]);
}

function tests(at: Stage, victims: readonly string[]): void {
  test.each(victims)("kill -9 of the %s under way: never more than 3 tasks run side by side, and all end", async (victim) => {
    const name = `limited-${victim}`;
    const calls = counting(at.outside, `/${name}`);
    await define(at.api, at.outside, name, { concurrency: 3 });
    const ids = await submitMany(at.api, name, 60);
    for (const count of [12, 36]) {
      await until(() => at.outside.keysOf(`/${name}`).size >= count, 30_000, `${count} calls`);
      await at.system.service(victim).restart();
    }
    await allSucceed(at.api, ids);
    expect(calls.most()).toBeLessThanOrEqual(3);
    // It was used, too.
    expect(calls.most()).toBe(3);
    await until(async () => (await limitOf(at.api, `workflow:${name}`)).used === 0, 30_000, "the last slot");
    expect(await limitOf(at.api, `workflow:${name}`)).toMatchObject({ waiting: 0, holders: [] });
  });

  test("a limit is lowered and raised under way; a waiting task says which limit, and who holds slots is shown", async () => {
    const calls = counting(at.outside, "/moving");
    await putLimit(at.api, "shared", 4);
    await define(at.api, at.outside, "moving", { keys: ["shared"] });
    const ids = await submitMany(at.api, "moving", 80);
    await until(() => calls.most() === 4, 20_000, "four at a time");
    const last: TaskView = await at.api.get(ids.at(-1) ?? "");
    expect(last.waitingFor).toMatchObject({ kind: "limit", name: "shared" });
    const limit = await limitOf(at.api, "shared");
    expect(limit).toMatchObject({ key: "shared", concurrency: 4, source: "managed" });
    expect(limit.used).toBeLessThanOrEqual(4);
    expect(limit.waiting).toBeGreaterThan(0);
    expect(limit.holders.every(({ taskId }) => ids.includes(taskId))).toBe(true);

    expect((await putLimit(at.api, "shared", 1)).status).toBe(200);
    await until(async () => (await limitOf(at.api, "shared")).used <= 1, 20_000, "the others to end");
    await until(() => calls.now() <= 1, 20_000, "their calls to end");
    calls.reset();
    const before = at.outside.keysOf("/moving").size;
    await until(() => at.outside.keysOf("/moving").size >= before + 5, 20_000, "five one by one");
    expect(calls.most()).toBe(1);

    await putLimit(at.api, "shared", 6);
    await until(() => calls.most() > 1, 20_000, "more at a time");
    await allSucceed(at.api, ids);
    expect(calls.most()).toBeLessThanOrEqual(6);
    const { limits } = (await at.api.call("/v1/limits")).json<{ readonly limits: readonly LimitView[] }>();
    expect(limits.find(({ key }) => key === "shared")).toMatchObject({ concurrency: 6, waiting: 0 });
    expect((await at.api.call("/v1/limits/shared", { method: "DELETE" })).status).toBe(200);
    expect((await at.api.call("/v1/limits/shared")).status).toBe(404);
  });
}

describe("solo", () => {
  tests(
    stage(() => solo({ env })),
    ["solo"],
  );
});

describe("cluster", () => {
  tests(
    stage(() => cluster({ env, schedulers: 2 })),
    ["scheduler", "executor"],
  );
});
