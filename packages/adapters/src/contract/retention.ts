import { type Expired, type PayloadStore, type Task, type TaskStore, taskSettledAt } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import {
  freshId,
  keyOf,
  nodeRun,
  queued,
  running,
  succeeded,
  startOfTime as t0,
  unsuccessful,
  waiting,
  webhookDebt,
} from "./builders.ts";
import { hostileRecord, type Open, withStore } from "./opened.ts";

const forever = Number.MAX_SAFE_INTEGER;
const project = "acme";

/** The stores that a task and all that belongs to it lie in. */
export interface TaskAndPayloadStores {
  readonly tasks: TaskStore;
  readonly payloads: PayloadStore;
}

const expiredOf = (task: Task, rev = 0): Expired => ({
  project: task.project,
  id: task.id,
  rev,
  settledAt: taskSettledAt(task) ?? 0,
});

/** What every TaskStore must do with what was kept long enough. `open` gives fresh, empty stores on one database for each test. */
export function testRetention(name: string, open: Open<TaskAndPayloadStores>): void {
  describe(`${name} and what was kept long enough`, () => {
    test("only what has ended and owes nothing is listed, of all projects, the earliest end first", () =>
      withStore(open, async ({ tasks: store }) => {
        const debt = webhookDebt("task.succeeded", t0);
        const tasks: Task[] = [
          succeeded({ endTime: t0 + 30 }),
          unsuccessful({ endTime: t0 + 10, project: "other", partition: 9 }),
          unsuccessful({ endTime: t0 + 20, state: "cancelled" }),
          unsuccessful({ endTime: t0 + 40, state: "timed_out" }),
        ];
        await store.insert([...tasks, queued(), running(), waiting(), succeeded({ endTime: t0, owes: [debt] })]);
        const expected = [1, 2, 0, 3].map((at) => expiredOf(tasks[at] ?? queued()));
        expect(await store.listExpired(forever, 10)).toStrictEqual(expected);
        expect(await store.listExpired(t0 + 30, 10)).toStrictEqual(expected.slice(0, 3));
        expect(await store.listExpired(t0 + 29, 10)).toStrictEqual(expected.slice(0, 2));
        expect(await store.listExpired(forever, 1)).toStrictEqual(expected.slice(0, 1));
        expect(await store.listExpired(t0 + 9, 10)).toEqual([]);
      }));

    test("a task is listed from the change on that leaves nothing owed, at its end and with its revision", () =>
      withStore(open, async ({ tasks: store }) => {
        const task = running();
        const ended = succeeded({ id: task.id, endTime: t0 + 7 });
        const owing = { ...ended, owes: [webhookDebt("task.succeeded", t0)] };
        await store.insert([task]);
        await store.replace([{ next: owing, rev: 0 }]);
        expect(await store.listExpired(forever, 10)).toEqual([]);
        await store.replace([{ next: ended, rev: 1 }]);
        expect(await store.listExpired(forever, 10)).toStrictEqual([expiredOf(ended, 2)]);
      }));

    test("a removed task is gone from every way to it, with its node runs and payloads, and nothing of its neighbours is", () =>
      withStore(open, async ({ tasks: store, payloads }) => {
        const words = { text: "red herring", labels: { team: "blue", ...hostileRecord() } };
        const [gone, ...kept] = [freshId(), freshId(), freshId()].map((id) => unsuccessful({ id, ...words }));
        if (!gone) throw new Error("no task");
        const all = [gone, ...kept];
        const keys = (id: string) => [`${id}/input`, `${id}//1/1/output`, `${id}/fetch/1/1/output`, `${id}/ä\uffff`];
        const sizes = [10, 20_000, 300_000, 10];
        // Ids of other forms, so that a prefix that is a little too long or too short would show.
        const near = [`${gone.id}`, `${gone.id}0/input`, `${gone.id}.x/input`, `${gone.id.slice(0, -1)}/input`];
        await payloads.put([
          ...all.flatMap(({ id }) => keys(id).map((key, at) => ({ key, json: JSON.stringify("x".repeat(sizes[at] ?? 1)) }))),
          ...near.map((key) => ({ key, json: "1" })),
        ]);
        await store.insert(all);
        const runs = all.flatMap((task) => ["fetch", "each[0].x", "z"].map((path) => nodeRun(task, { path })));
        await store.putNodeRuns(runs);
        expect(await store.list({ project, q: "herring", limit: 9 })).toHaveLength(3);

        expect(await store.remove([expiredOf(gone)])).toBe(1);
        expect(await store.get(all.map(keyOf))).toStrictEqual([undefined, ...kept.map((task) => ({ task, rev: 0 }))]);
        const left = kept.map((task) => task.id).reverse();
        for (const query of [{}, { q: "herring" }, { q: "red" }, { states: ["failed"] as const }, { labels: { team: "blue" } }]) {
          expect((await store.list({ project, limit: 9, ...query })).map((one) => one.task.id)).toEqual(left);
        }
        expect(await store.list({ project, q: gone.id, limit: 9 })).toEqual([]);
        expect((await store.listExpired(forever, 9)).map((one) => one.id).sort()).toEqual(kept.map((task) => task.id));
        expect(await store.listNodeRuns(keyOf(gone), 9)).toEqual([]);
        expect(await payloads.get(keys(gone.id))).toEqual(keys(gone.id).map(() => undefined));
        for (const task of kept) {
          expect(await store.listNodeRuns(keyOf(task), 9)).toHaveLength(3);
          expect((await payloads.get(keys(task.id))).map((json) => json?.length)).toEqual(sizes.map((size) => size + 2));
        }
        expect(await payloads.get(near)).toEqual(near.map(() => "1"));
      }));

    test("what changed meanwhile stays as it is, with everything that belongs to it", () =>
      withStore(open, async ({ tasks: store, payloads }) => {
        const task = succeeded({ webhook: { url: "u", sealedSecrets: [], sealedHeaders: {}, events: ["task.succeeded"] } });
        await store.insert([task]);
        await store.putNodeRuns([nodeRun(task)]);
        await payloads.put([{ key: `${task.id}/input`, json: "1" }]);
        const listed = await store.listExpired(forever, 9);
        const changed: Task = { ...task, version: task.version + 1, delivery: { state: "delivered", sequence: 3 } };
        await store.replace([{ next: changed, rev: 0 }]);
        expect(await store.remove(listed)).toBe(0);
        expect(
          await store.remove([{ ...expiredOf(task, 1), project: "other" }, expiredOf(succeeded()), expiredOf(task, 2)]),
        ).toBe(0);
        expect(await store.get([keyOf(task)])).toStrictEqual([{ task: changed, rev: 1 }]);
        expect(await store.listNodeRuns(keyOf(task), 9)).toHaveLength(1);
        expect(await payloads.get([`${task.id}/input`])).toEqual(["1"]);
        expect(await store.remove(await store.listExpired(forever, 9))).toBe(1);
        expect(await store.get([keyOf(task)])).toEqual([undefined]);
      }));

    test("a change that comes after the removal is refused, and brings nothing back", () =>
      withStore(open, async ({ tasks: store }) => {
        const task = succeeded();
        await store.insert([task]);
        await store.remove([expiredOf(task)]);
        expect(await store.replace([{ next: { ...task, version: 9 }, rev: 0 }])).toEqual(["stale"]);
        expect(await store.get([keyOf(task)])).toEqual([undefined]);
        expect(await store.remove([expiredOf(task)])).toBe(0);
        expect(await store.remove([])).toBe(0);
      }));

    test("an id is free again once its task is gone, and the new task is found by its own words only", () =>
      withStore(open, async ({ tasks: store, payloads }) => {
        const task = succeeded({ text: "former words", labels: { age: "old" } });
        await store.insert([task]);
        expect(await store.list({ project, q: "former", limit: 9 })).toHaveLength(1);
        await store.remove([expiredOf(task)]);
        await payloads.put([{ key: `${task.id}/input`, json: '"new"' }]);
        const next = queued({ id: task.id, text: "latter words" });
        expect(await store.insert([next])).toEqual(["inserted"]);
        expect(await store.get([keyOf(next)])).toStrictEqual([{ task: next, rev: 0 }]);
        expect(await store.list({ project, q: "former", limit: 9 })).toEqual([]);
        expect(await store.list({ project, q: "latter", limit: 9 })).toHaveLength(1);
        expect(await store.list({ project, labels: { age: "old" }, limit: 9 })).toEqual([]);
        expect(await payloads.get([`${task.id}/input`])).toEqual(['"new"']);
      }));

    test("many tasks go at once, and tasks with many or large children go as a whole", () =>
      withStore(open, async ({ tasks: store, payloads }) => {
        const small = Array.from({ length: 300 }, (_, at) => succeeded({ endTime: t0 + at, text: `word${at % 7}` }));
        const wide = succeeded({ endTime: t0 + 1_000 });
        const heavy = succeeded({ endTime: t0 + 1_001 });
        await store.insert([...small, wide, heavy]);
        await store.putNodeRuns(Array.from({ length: 1_500 }, (_, at) => nodeRun(wide, { path: `each[${at}].x` })));
        await payloads.put(Array.from({ length: 1_200 }, (_, at) => ({ key: `${wide.id}/each[${at}].x/1/1/output`, json: "1" })));
        const large = JSON.stringify("x".repeat(900_000));
        const heavyKeys = Array.from({ length: 6 }, (_, at) => `${heavy.id}/${at}/1/1/output`);
        for (const key of heavyKeys) await payloads.put([{ key, json: large }]);
        expect(await store.remove(await store.listExpired(t0 + 255, 256))).toBe(256);
        expect(await store.listExpired(forever, 1)).toStrictEqual([expiredOf(small[256] ?? wide)]);
        expect(await store.remove(await store.listExpired(forever, 256))).toBe(46);
        expect(await store.listExpired(forever, 9)).toEqual([]);
        expect(await store.list({ project, limit: 9 })).toEqual([]);
        expect(await store.listNodeRuns(keyOf(wide), 9)).toEqual([]);
        expect(await payloads.get([`${wide.id}/each[7].x/1/1/output`, ...heavyKeys])).toEqual([...Array(7)].map(() => undefined));
      }));

    test("several sweepers at once remove each task once and everything of it", () =>
      withStore(open, async ({ tasks: store, payloads }) => {
        const tasks = Array.from({ length: 120 }, (_, at) => succeeded({ endTime: t0 + at }));
        await store.insert(tasks);
        await store.putNodeRuns(tasks.map((task) => nodeRun(task)));
        await payloads.put(tasks.map(({ id }) => ({ key: `${id}/input`, json: "1" })));
        // One that sees what another one has begun takes it over, so it may take a few looks.
        const sweep = async (): Promise<number> => {
          let removed = 0;
          for (;;) {
            const some = await store.listExpired(forever, 32);
            if (some.length === 0) return removed;
            removed += await store.remove(some);
          }
        };
        const removed = await Promise.all([sweep(), sweep(), sweep()]);
        expect(removed.reduce((sum, one) => sum + one, 0)).toBe(120);
        expect(await store.get(tasks.map(keyOf))).toEqual(tasks.map(() => undefined));
        expect(await payloads.get(tasks.map(({ id }) => `${id}/input`))).toEqual(tasks.map(() => undefined));
        for (const task of tasks) expect(await store.listNodeRuns(keyOf(task), 1)).toEqual([]);
      }));
  });
}
