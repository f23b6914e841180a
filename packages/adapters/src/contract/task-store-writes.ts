import type { Task, TaskStore } from "@longhaul/core";
import { expect, test } from "vitest";
import { freshId, keyOf, queued, running, startOfTime, succeeded } from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

/** insert, get, replace and their races. */
export function testTaskWrites(open: Open<TaskStore>): void {
  test("an inserted task is read back at revision 0", () =>
    withStore(open, async (store) => {
      const task = queued();
      expect(await store.insert([task])).toEqual(["inserted"]);
      expect(await store.get([keyOf(task)])).toStrictEqual([{ task, rev: 0 }]);
    }));

  test("calls without items answer without items", () =>
    withStore(open, async (store) => {
      expect(await store.insert([])).toEqual([]);
      expect(await store.get([])).toEqual([]);
      expect(await store.replace([])).toEqual([]);
      expect(await store.putNodeRuns([])).toBeUndefined();
      expect(await store.listDue([], startOfTime, 10)).toEqual([]);
      expect(await store.nextDue([])).toBeUndefined();
    }));

  test("the second insert of an id says exists and changes nothing", () =>
    withStore(open, async (store) => {
      const first = queued({ workflow: "first" });
      await store.insert([first]);
      expect(await store.insert([queued({ id: first.id, workflow: "second" })])).toEqual(["exists"]);
      expect(await store.get([keyOf(first)])).toStrictEqual([{ task: first, rev: 0 }]);
    }));

  test("inserting an id again after it moved on says exists and does not set it back", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      const held = running({ id: task.id });
      await store.replace([{ next: held, rev: 0 }]);
      expect(await store.insert([task])).toEqual(["exists"]);
      expect((await store.get([keyOf(task)]))[0]).toStrictEqual({ task: held, rev: 1 });
    }));

  test("of two inserts of one id in one call the first wins and the others of the call are kept", () =>
    withStore(open, async (store) => {
      const first = queued({ workflow: "first" });
      const other = queued();
      const again = queued({ id: first.id, workflow: "second" });
      const last = queued();
      expect(await store.insert([first, other, again, last])).toEqual(["inserted", "inserted", "exists", "inserted"]);
      const found = await store.get([first, other, last].map(keyOf));
      expect(found.map((one) => one?.task)).toStrictEqual([first, other, last]);
    }));

  test("1,000 concurrent inserts of one id make one task", () =>
    withStore(open, async (store) => {
      const id = freshId();
      const tasks = Array.from({ length: 1_000 }, (_, at) => queued({ id, workflow: `w${at}` }));
      const answers = await Promise.all(tasks.map((task) => store.insert([task])));
      expect(answers.filter((answer) => answer[0] === "inserted")).toHaveLength(1);
      const winner = answers.findIndex((answer) => answer[0] === "inserted");
      expect((await store.get([{ project: "acme", id }]))[0]?.task).toStrictEqual(tasks[winner]);
      expect(await store.list({ project: "acme", limit: 10 })).toHaveLength(1);
    }));

  test("concurrent inserts that overlap make each id once, and every call knows which it made", () =>
    withStore(open, async (store) => {
      const ids = Array.from({ length: 40 }, freshId);
      const calls = Array.from({ length: 20 }, (_, call) =>
        ids.slice(call, call + 21).map((id) => queued({ id, workflow: `call${call}` })),
      );
      const answers = await Promise.all(calls.map((tasks) => store.insert(tasks)));
      const makers = new Map<string, string>();
      answers.forEach((answer, call) => {
        answer.forEach((one, at) => {
          const task = calls[call]?.[at];
          if (one !== "inserted" || !task) return;
          expect(makers.has(task.id)).toBe(false);
          makers.set(task.id, task.workflow);
        });
      });
      const found = await store.get(ids.map((id) => ({ project: "acme", id })));
      expect(found.map((one) => one?.task.workflow)).toEqual(ids.map((id) => makers.get(id)));
    }));

  test("300 tasks in one call are all kept", () =>
    withStore(open, async (store) => {
      const tasks = Array.from({ length: 300 }, () => queued());
      expect(await store.insert(tasks)).toEqual(tasks.map(() => "inserted"));
      const found = await store.get(tasks.map(keyOf));
      expect(found.map((one) => one?.task)).toStrictEqual(tasks);
    }));

  test("get answers in the order asked, repeats what is asked twice, and leaves gaps for what is not there", () =>
    withStore(open, async (store) => {
      const [a, b] = [queued(), queued()];
      await store.insert([a, b]);
      const found = await store.get([keyOf(b), { project: "acme", id: "nowhere" }, keyOf(a), keyOf(b)]);
      expect(found.map((one) => one?.task.id)).toEqual([b.id, undefined, a.id, b.id]);
    }));

  test("a task is not found under a foreign project", () =>
    withStore(open, async (store) => {
      const task = queued({ project: "acme" });
      await store.insert([task]);
      expect(await store.get([{ project: "other", id: task.id }])).toEqual([undefined]);
      expect(await store.list({ project: "other", limit: 10 })).toEqual([]);
      expect(await store.list({ project: "other", q: task.id, limit: 10 })).toEqual([]);
      expect(await store.replace([{ next: running({ id: task.id, project: "other" }), rev: 0 }])).toEqual(["stale"]);
      expect(await store.get([keyOf(task)])).toStrictEqual([{ task, rev: 0 }]);
    }));

  test("replace writes the next state and counts the revision", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      const held = running({ id: task.id });
      expect(await store.replace([{ next: held, rev: 0 }])).toEqual(["replaced"]);
      expect(await store.get([keyOf(task)])).toStrictEqual([{ task: held, rev: 1 }]);
      const ended = succeeded({ id: task.id });
      expect(await store.replace([{ next: ended, rev: 1 }])).toEqual(["replaced"]);
      expect(await store.get([keyOf(task)])).toStrictEqual([{ task: ended, rev: 2 }]);
    }));

  test("replace refuses a revision that is past, to come, or of a task that is not there", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      await store.replace([{ next: running({ id: task.id }), rev: 0 }]);
      const before = await store.get([keyOf(task)]);
      expect(await store.replace([{ next: succeeded({ id: task.id }), rev: 0 }])).toEqual(["stale"]);
      expect(await store.replace([{ next: succeeded({ id: task.id }), rev: 2 }])).toEqual(["stale"]);
      expect(await store.replace([{ next: succeeded(), rev: 0 }])).toEqual(["stale"]);
      expect(await store.get([keyOf(task)])).toStrictEqual(before);
    }));

  test("each change of a call is judged alone and answered in its place", () =>
    withStore(open, async (store) => {
      const tasks = Array.from({ length: 60 }, () => queued());
      await store.insert(tasks);
      const stale = tasks.filter((_, at) => at % 3 === 0);
      await store.replace(stale.map((task) => ({ next: running({ id: task.id, executor: "first" }), rev: 0 })));
      const answers = await store.replace(tasks.map((task) => ({ next: running({ id: task.id, executor: "second" }), rev: 0 })));
      expect(answers).toEqual(tasks.map((_, at) => (at % 3 === 0 ? "stale" : "replaced")));
      const found = await store.get(tasks.map(keyOf));
      expect(found.map((one) => one?.rev)).toEqual(tasks.map(() => 1));
      expect(found.map((one) => holder(one?.task))).toEqual(tasks.map((_, at) => (at % 3 === 0 ? "first" : "second")));
    }));

  test("of 100 concurrent changes over one revision one is written, and it is the one that was told so", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      const changes = Array.from({ length: 100 }, (_, at) => ({ next: running({ id: task.id, executor: `e${at}` }), rev: 0 }));
      const answers = await Promise.all(changes.map((change) => store.replace([change])));
      const won = answers.flatMap((answer, at) => (answer[0] === "replaced" ? [at] : []));
      expect(won).toHaveLength(1);
      const [found] = await store.get([keyOf(task)]);
      expect(found?.rev).toBe(1);
      expect(holder(found?.task)).toBe(`e${won[0]}`);
    }));

  test("of two changes over one revision in one call one is written", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      const answers = await store.replace([
        { next: running({ id: task.id, executor: "a" }), rev: 0 },
        { next: running({ id: task.id, executor: "b" }), rev: 0 },
      ]);
      expect([...answers].sort()).toEqual(["replaced", "stale"]);
      const [found] = await store.get([keyOf(task)]);
      expect(found?.rev).toBe(1);
      expect(holder(found?.task)).toBe(answers[0] === "replaced" ? "a" : "b");
    }));

  test("concurrent loops of read and compare-and-set lose no change", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      const raise = async (): Promise<void> => {
        for (;;) {
          const [found] = await store.get([keyOf(task)]);
          if (!found) throw new Error("the task is gone");
          const next: Task = { ...found.task, version: found.task.version + 1 };
          if ((await store.replace([{ next, rev: found.rev }]))[0] === "replaced") return;
        }
      };
      await Promise.all(Array.from({ length: 12 }, raise));
      const [found] = await store.get([keyOf(task)]);
      expect(found?.task.version).toBe(task.version + 12);
      expect(found?.rev).toBe(12);
    }));

  test("what is written is readable by the time it is answered", () =>
    withStore(open, async (store) => {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const task = queued();
          await store.insert([task]);
          expect((await store.get([keyOf(task)]))[0]?.rev).toBe(0);
          const held = running({ id: task.id });
          await store.replace([{ next: held, rev: 0 }]);
          expect((await store.get([keyOf(task)]))[0]).toStrictEqual({ task: held, rev: 1 });
        }),
      );
    }));

  test("now is the time of day in milliseconds", () =>
    withStore(open, async (store) => {
      const before = Date.now();
      const now = await store.now();
      expect(Number.isInteger(now)).toBe(true);
      expect(Math.abs(now - before)).toBeLessThan(60_000);
    }));
}

function holder(task: Task | undefined): string | undefined {
  return task?.state === "running" ? task.executor : undefined;
}
