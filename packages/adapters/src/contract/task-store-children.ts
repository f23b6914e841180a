import type { Stored, Task, TaskStore } from "@longhaul/core";
import { expect, test } from "vitest";
import { freshId, keyOf, queued, running, succeeded } from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

/** Tasks by the one that started them. */
export function testTaskChildren(open: Open<TaskStore>): void {
  const parent = (id: string, awaited = true) => ({ parent: { id, node: "call", awaited }, depth: 1 });

  test("the tasks that a task started are listed by id and paged, each as it is stored now", () =>
    withStore(open, async (store) => {
      const [mine, other] = [freshId(), freshId()];
      const children = Array.from({ length: 7 }, (_, at) => queued(parent(mine, at % 2 === 0)));
      await store.insert([queued(), queued({ id: mine }), queued(parent(other)), ...[...children].reverse()]);
      const [first, second] = children;
      if (!first || !second) throw new Error("there are seven");
      const moved: Task = running({ ...parent(mine), id: second.id });
      expect(await store.replace([{ next: moved, rev: 0 }])).toEqual(["replaced"]);
      const stored = children.map((task): Stored => (task.id === second.id ? { task: moved, rev: 1 } : { task, rev: 0 }));
      // What is given at submit is not written again: the second one stays awaited or not as it was.
      const listed = await store.listChildren("acme", mine, 100);
      expect(listed.map(({ task, rev }) => [task.id, task.state, rev])).toEqual(
        stored.map(({ task, rev }) => [task.id, task.state, rev]),
      );
      expect(listed[0]).toStrictEqual({ task: first, rev: 0 });
      const paged: string[] = [];
      for (let page = await store.listChildren("acme", mine, 3); page.length > 0; ) {
        expect(page.length).toBeLessThanOrEqual(3);
        paged.push(...page.map(({ task }) => task.id));
        page = await store.listChildren("acme", mine, 3, paged.at(-1));
      }
      expect(paged).toEqual(children.map(({ id }) => id));
    }));

  test("children are found within their project only, and most tasks have none", () =>
    withStore(open, async (store) => {
      const mine = queued();
      await store.insert([mine, queued(parent(mine.id)), queued({ ...parent(mine.id), project: "other" })]);
      expect(await store.listChildren("acme", mine.id, 9)).toHaveLength(1);
      expect(await store.listChildren("other", mine.id, 9)).toHaveLength(1);
      expect(await store.listChildren("third", mine.id, 9)).toEqual([]);
      expect(await store.listChildren("acme", freshId(), 9)).toEqual([]);
    }));

  test("a child that was removed is listed no more, and its id may come again with another parent", () =>
    withStore(open, async (store) => {
      const [mine, next] = [freshId(), freshId()];
      const child = succeeded(parent(mine));
      await store.insert([child, succeeded({ ...parent(mine), endTime: Number.MAX_SAFE_INTEGER })]);
      const expired = await store.listExpired(child.endTime, 9);
      expect(await store.remove(expired)).toBe(1);
      expect((await store.listChildren("acme", mine, 9)).map(({ task }) => task.id)).not.toContain(child.id);
      expect(await store.listChildren("acme", mine, 9)).toHaveLength(1);
      expect(await store.insert([queued({ ...parent(next), id: child.id })])).toEqual(["inserted"]);
      expect(await store.listChildren("acme", mine, 9)).toHaveLength(1);
      expect((await store.listChildren("acme", next, 9)).map(({ task }) => keyOf(task))).toEqual([keyOf(child)]);
    }));
}
