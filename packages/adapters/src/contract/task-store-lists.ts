import type { Stored, Task, TaskQuery, TaskStore } from "@longhaul/core";
import { taskStates } from "@longhaul/core";
import { expect, test } from "vitest";
import { freshId, queued, running, succeeded, startOfTime as t0, unsuccessful, waiting } from "./builders.ts";
import { hostileStrings, type Open, withStore } from "./opened.ts";

const project = "acme";

/** Lists and searches for people. */
export function testTaskLists(open: Open<TaskStore>): void {
  test("tasks are listed newest first, by id where they are equally old", () =>
    withStore(open, async (store) => {
      const at = (createTime: number, id: string) => succeeded({ createTime, id });
      const expected = [at(t0 + 9, "a"), at(t0 + 5, "c"), at(t0 + 5, "b"), at(t0 + 5, "a1"), at(t0, "z")];
      await store.insert([3, 0, 4, 2, 1].flatMap((index) => expected[index] ?? []));
      expect(await ids(store, { project, limit: 10 })).toEqual(expected.map((task) => task.id));
      expect(await ids(store, { project, limit: 2 })).toEqual(["a", "c"]);
    }));

  test("states filter, alone, together, and none at all", () =>
    withStore(open, async (store) => {
      const tasks: Task[] = [
        queued(),
        running(),
        waiting(),
        succeeded(),
        ...(["failed", "cancelled", "timed_out"] as const).map((state) => unsuccessful({ state })),
      ].map((task, at) => ({ ...task, createTime: t0 + at }));
      await store.insert(tasks);
      for (const state of taskStates) {
        expect(await ids(store, { project, states: [state], limit: 10 })).toEqual(
          tasks.filter((task) => task.state === state).map(idOf),
        );
      }
      expect(await ids(store, { project, states: ["running", "failed", "succeeded"], limit: 10 })).toEqual(
        tasks
          .filter((task) => ["running", "failed", "succeeded"].includes(task.state))
          .reverse()
          .map(idOf),
      );
      expect(await ids(store, { project, states: [...taskStates], limit: 10 })).toEqual([...tasks].reverse().map(idOf));
      expect(await ids(store, { project, states: ["failed", "failed"], limit: 10 })).toHaveLength(1);
      expect(await ids(store, { project, states: [], limit: 10 })).toEqual([]);
    }));

  test("a list follows a task from state to state", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      await store.replace([{ next: running({ id: task.id }), rev: 0 }]);
      expect(await ids(store, { project, states: ["queued"], limit: 10 })).toEqual([]);
      expect(await store.list({ project, states: ["running"], limit: 10 })).toStrictEqual([
        { task: running({ id: task.id }), rev: 1 },
      ]);
      await store.replace([{ next: unsuccessful({ id: task.id }), rev: 1 }]);
      expect(await ids(store, { project, states: ["queued", "running"], limit: 10 })).toEqual([]);
      expect(await ids(store, { project, states: ["failed"], limit: 10 })).toEqual([task.id]);
    }));

  test("workflow filters by the whole name", () =>
    withStore(open, async (store) => {
      const [echo, echo2] = [queued({ workflow: "echo" }), queued({ workflow: "echo-2" })];
      await store.insert([echo, echo2]);
      expect(await ids(store, { project, workflow: "echo", limit: 10 })).toEqual([echo.id]);
      expect(await ids(store, { project, workflow: "Echo", limit: 10 })).toEqual([]);
    }));

  test("all labels asked for must be there with their values", () =>
    withStore(open, async (store) => {
      const both = queued({ labels: { team: "blue", "env.name": "$prod" } });
      const one = queued({ labels: { team: "blue" } });
      const other = queued({ labels: { team: "red", "env.name": "$prod" } });
      await store.insert([both, one, other, queued()]);
      const by = (labels: Record<string, string>) => ids(store, { project, labels, limit: 10 });
      expect((await by({ team: "blue" })).sort()).toEqual([both.id, one.id].sort());
      expect(await by({ team: "blue", "env.name": "$prod" })).toEqual([both.id]);
      expect(await by({ team: "blue", "env.name": "prod" })).toEqual([]);
      expect(await by({ team: "" })).toEqual([]);
      expect(await by({ nothing: "blue" })).toEqual([]);
      expect(await by({})).toHaveLength(4);
    }));

  test("hostile labels find their own task", () =>
    withStore(open, async (store) => {
      const texts = hostileStrings.filter((text) => !text.includes("\u0000") && text.length < 100);
      const tasks = texts.map((text) => queued({ labels: Object.fromEntries([[text, text]]) }));
      await store.insert(tasks);
      for (const task of tasks) expect(await ids(store, { project, labels: task.labels, limit: 10 })).toEqual([task.id]);
    }));

  test("createdAfter leaves out what was created at that very moment", () =>
    withStore(open, async (store) => {
      const tasks = [0, 1, 2].map((ms) => queued({ createTime: t0 + ms }));
      await store.insert(tasks);
      expect(await ids(store, { project, createdAfter: t0, limit: 10 })).toEqual([tasks[2]?.id, tasks[1]?.id]);
      expect(await ids(store, { project, createdAfter: t0 + 2, limit: 10 })).toEqual([]);
    }));

  test("q finds by id", () =>
    withStore(open, async (store) => {
      const [a, b] = [queued({ text: "alpha" }), succeeded({ text: "beta" })];
      await store.insert([a, b]);
      expect(await ids(store, { project, q: a.id, limit: 10 })).toEqual([a.id]);
      expect(await ids(store, { project, q: b.id, states: ["queued"], limit: 10 })).toEqual([]);
      expect(await ids(store, { project, q: freshId(), limit: 10 })).toEqual([]);
    }));

  test("q finds by words, all of which must occur, in any order and case", () =>
    withStore(open, async (store) => {
      const a = queued({ text: "Summarise the quarterly report please", createTime: t0 });
      const b = queued({ text: "quarterly figures, not a summary", createTime: t0 + 1 });
      await store.insert([a, b, queued({ text: "" }), queued({ text: "something else entirely" })]);
      expect(await ids(store, { project, q: "quarterly", limit: 10 })).toEqual([b.id, a.id]);
      expect(await ids(store, { project, q: "QUARTERLY Report", limit: 10 })).toEqual([a.id]);
      expect(await ids(store, { project, q: "report  quarterly", limit: 10 })).toEqual([a.id]);
      expect(await ids(store, { project, q: "quarterly nowhere", limit: 10 })).toEqual([]);
      expect(await ids(store, { project, q: "quarterly", workflow: "none", limit: 10 })).toEqual([]);
      expect(await ids(store, { project: "other", q: "quarterly", limit: 10 })).toEqual([]);
    }));

  test("q takes anything for words and nothing for syntax", () =>
    withStore(open, async (store) => {
      const task = queued({ text: "alpha beta NEAR gamma" });
      await store.insert([task]);
      for (const q of ['"alpha" "beta"', "alpha, beta!", "(alpha) {beta}", "alpha* ^beta", "alpha:beta", "NEAR(alpha beta)"]) {
        expect(await ids(store, { project, q, limit: 10 })).toEqual([task.id]);
      }
      for (const q of ["alpha OR nowhere", "alpha NOT gamma", "nowhere -alpha", "!!!", '"', "*", "   ", ...hostileStrings]) {
        expect(await ids(store, { project, q, limit: 10 })).toEqual([]);
      }
    }));

  test("q pages newest first", () =>
    withStore(open, async (store) => {
      const tasks = Array.from({ length: 30 }, (_, at) =>
        queued({ text: `common word${at % 2}`, createTime: t0 + ((at * 7) % 30) }),
      );
      await store.insert(tasks);
      const expected = tasks.filter((task) => task.text.includes("word1")).sort(newestFirst);
      const paged = await pages(store, { project, q: "common word1", limit: 4 });
      expect(paged.map((one) => one.task.id)).toEqual(expected.map(idOf));
    }));

  test("pages have neither gaps nor repeats, even among tasks of one moment and while others arrive", () =>
    withStore(open, async (store) => {
      const tasks = Array.from({ length: 50 }, (_, at) => succeeded({ createTime: t0 + (at % 4) }));
      await store.insert(tasks);
      const expected = [...tasks].sort(newestFirst).map(idOf);
      for (const limit of [1, 7, 50]) {
        const paged = await pages(store, { project, limit }, () => store.insert([queued({ createTime: t0 + 99 })]));
        expect(paged.map((one) => one.task.id).filter((id) => expected.includes(id))).toEqual(expected);
        expect(new Set(paged.map((one) => one.task.id)).size).toBe(paged.length);
      }
    }));

  test("every combination of filters lists what a plain filter over all tasks lists", () =>
    withStore(open, async (store) => {
      const tasks: Task[] = Array.from({ length: 120 }, (_, at) => {
        const over = {
          createTime: t0 + (at % 11),
          workflow: `w${at % 2}`,
          labels: at % 3 === 0 ? { team: "blue", odd: `${at % 2}` } : {},
          text: at % 4 === 0 ? "needle in hay" : "hay",
        };
        return [queued(over), running(over), waiting(over), succeeded(over), unsuccessful(over)][at % 5] ?? queued(over);
      });
      await store.insert(tasks);
      const filters: Partial<TaskQuery>[][] = [
        [{}, { states: ["queued", "running"] }, { states: ["failed", "succeeded"] }, { states: ["waiting"] }],
        [{}, { workflow: "w1" }],
        [{}, { labels: { team: "blue" } }, { labels: { team: "blue", odd: "0" } }],
        [{}, { q: "needle" }],
        [{}, { createdAfter: t0 + 4 }],
      ];
      const queries = filters.reduce<Partial<TaskQuery>[]>(
        (sofar, more) => sofar.flatMap((one) => more.map((another) => ({ ...one, ...another }))),
        [{}],
      );
      for (const filter of queries) {
        const query: TaskQuery = { project, limit: 9, ...filter };
        const expected = tasks.filter((task) => matches(task, query)).sort(newestFirst);
        expect((await pages(store, query)).map((one) => one.task.id)).toEqual(expected.map(idOf));
      }
    }));
}

function matches(task: Task, query: TaskQuery): boolean {
  if (query.states && !query.states.includes(task.state)) return false;
  if (query.workflow !== undefined && task.workflow !== query.workflow) return false;
  if (Object.entries(query.labels ?? {}).some(([name, value]) => task.labels[name] !== value)) return false;
  if (query.q !== undefined && !task.text.split(" ").includes(query.q)) return false;
  return query.createdAfter === undefined || task.createTime > query.createdAfter;
}

async function ids(store: TaskStore, query: TaskQuery): Promise<string[]> {
  return (await store.list(query)).map((one) => one.task.id);
}

async function pages(store: TaskStore, query: TaskQuery, between?: () => Promise<unknown>): Promise<Stored[]> {
  const all: Stored[] = [];
  let page = await store.list(query);
  for (;;) {
    expect(page.length).toBeLessThanOrEqual(query.limit);
    const last = page.at(-1);
    if (!last) return all;
    all.push(...page);
    await between?.();
    page = await store.list({ ...query, after: { createTime: last.task.createTime, id: last.task.id } });
  }
}

function newestFirst(a: Task, b: Task): number {
  return b.createTime - a.createTime || (a.id < b.id ? 1 : -1);
}

function idOf(task: Task): string {
  return task.id;
}
