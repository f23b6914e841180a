import type { Stored, Task, TaskStore } from "@longhaul/core";
import { wakeAt } from "@longhaul/core";
import { expect, test } from "vitest";
import {
  freshId,
  keyOf,
  queued,
  running,
  succeeded,
  startOfTime as t0,
  unsuccessful,
  waiting,
  waitingFor,
  webhookDebt,
} from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

const forever = Number.MAX_SAFE_INTEGER;

/** What is due and what waits for room. */
export function testTaskQueues(open: Open<TaskStore>): void {
  test("a task of every form is due at the time that wakeAt derives from it, or never", () =>
    withStore(open, async (store) => {
      const debt = (dueAt: number) => webhookDebt("task.succeeded", dueAt);
      const tasks: Task[] = [
        queued({ deadline: t0 + 100 }),
        queued({ queueing: { kind: "ticketed", until: t0 + 90, looks: 0 } }),
        queued({ queueing: { kind: "delayed", why: "retry", until: t0 + 80 } }),
        running({ leaseUntil: t0 + 70 }),
        running({ leaseUntil: t0 + 700, deadline: t0 + 60 }),
        waiting({ deadline: t0 + 50 }),
        waiting({ waits: [waitingFor({ kind: "timer", node: "n", until: t0 + 40 })] }),
        succeeded({ owes: [debt(t0 + 30), debt(t0 + 20)] }),
        unsuccessful({ owes: [] }),
        succeeded(),
      ];
      await store.insert(tasks);
      const due = await store.listDue([7], forever, 100);
      expect(due.map((one) => wakeAt(one.task))).toEqual([20, 40, 50, 60, 70, 80, 90, 100].map((ms) => t0 + ms));
      for (const ms of [19, 20, 21, 65, 100]) {
        const expected = tasks.filter((task) => (wakeAt(task) ?? forever) <= t0 + ms).map((task) => task.id);
        const found = await store.listDue([7], t0 + ms, 100);
        expect(found.map((one) => one.task.id).sort()).toEqual(expected.sort());
      }
    }));

  test("a change moves a task in the order of what is due, and an end without debts takes it out", () =>
    withStore(open, async (store) => {
      const task = queued({ queueing: { kind: "ticketed", until: t0 + 10, looks: 0 } });
      await store.insert([task]);
      expect(await store.nextDue([7])).toBe(t0 + 10);
      await store.replace([{ next: running({ id: task.id, leaseUntil: t0 + 500 }), rev: 0 }]);
      expect(await store.nextDue([7])).toBe(t0 + 500);
      expect(await store.listDue([7], t0 + 499, 10)).toEqual([]);
      await store.replace([{ next: succeeded({ id: task.id }), rev: 1 }]);
      expect(await store.nextDue([7])).toBeUndefined();
      expect(await store.listDue([7], forever, 10)).toEqual([]);
    }));

  test("what is due is asked for by partition", () =>
    withStore(open, async (store) => {
      const tasks = [0, 5, 63].map((partition, at) => running({ partition, leaseUntil: t0 + 30 - at * 10 }));
      await store.insert(tasks);
      const ids = async (partitions: number[]) => (await store.listDue(partitions, forever, 10)).map((one) => one.task.partition);
      expect(await ids([0, 5, 63])).toEqual([63, 5, 0]);
      expect(await ids([0, 5])).toEqual([5, 0]);
      expect(await ids([1, 2])).toEqual([]);
      expect(await ids(Array.from({ length: 64 }, (_, at) => at))).toEqual([63, 5, 0]);
      expect(await store.nextDue([0])).toBe(t0 + 30);
      expect(await store.nextDue([0, 5])).toBe(t0 + 20);
      expect(await store.nextDue([1, 2])).toBeUndefined();
    }));

  test("what is due comes earliest first, by id where times are equal, and pages without gaps or repeats", () =>
    withStore(open, async (store) => {
      const tasks = Array.from({ length: 60 }, (_, at) =>
        running({ id: `task-${String((at * 37) % 60).padStart(2, "0")}`, partition: at % 3, leaseUntil: t0 + (at % 5) * 10 }),
      );
      await store.insert(tasks);
      const byWake = (a: Task, b: Task) => (wakeAt(a) ?? 0) - (wakeAt(b) ?? 0) || (a.id < b.id ? -1 : 1);
      const expected = tasks.filter((task) => task.partition !== 1 && (wakeAt(task) ?? 0) <= t0 + 30).sort(byWake);
      for (const size of [1, 7, 100]) {
        const paged: Stored[] = [];
        let after: { wakeAt: number; id: string } | undefined;
        for (;;) {
          const page = await store.listDue([0, 2], t0 + 30, size, after);
          const last = page.at(-1);
          if (!last) break;
          expect(page.length).toBeLessThanOrEqual(size);
          paged.push(...page);
          after = { wakeAt: wakeAt(last.task) ?? 0, id: last.task.id };
        }
        expect(paged.map((one) => one.task.id)).toEqual(expected.map((task) => task.id));
      }
    }));

  test("the backlog comes by priority, then creation, then id", () =>
    withStore(open, async (store) => {
      const at = (priority: number, createTime: number, id: string) => queued({ priority, createTime, id });
      const expected = [
        at(100, t0 + 9, "a"),
        at(1, t0 + 1, "b"),
        at(1, t0 + 2, "a2"),
        at(0, t0, "c1"),
        at(0, t0, "c2"),
        at(0, t0 + 5, "b1"),
        at(-100, t0 - 50, "z"),
      ];
      await store.insert([4, 0, 6, 2, 5, 1, 3].flatMap((index) => expected[index] ?? []));
      const ids = async (limit: number) => (await store.listBacklog(7, limit)).map((one) => one.task.id);
      expect(await ids(100)).toEqual(expected.map((task) => task.id));
      expect(await ids(3)).toEqual(expected.slice(0, 3).map((task) => task.id));
    }));

  test("only queued tasks that wait for room are in the backlog, each in its partition", () =>
    withStore(open, async (store) => {
      const backlog = queued();
      const elsewhere = queued({ partition: 8 });
      await store.insert([
        backlog,
        elsewhere,
        queued({ queueing: { kind: "ticketed", until: t0, looks: 0 } }),
        queued({ queueing: { kind: "delayed", why: "start_time", until: t0 } }),
        running(),
        waiting(),
        succeeded(),
        unsuccessful(),
      ]);
      expect(await store.listBacklog(7, 10)).toStrictEqual([{ task: backlog, rev: 0 }]);
      expect(await store.listBacklog(8, 10)).toStrictEqual([{ task: elsewhere, rev: 0 }]);
      expect(await store.listBacklog(9, 10)).toEqual([]);
    }));

  test("a task leaves the backlog with its ticket and comes back when it is released", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      await store.replace([{ next: { ...task, queueing: { kind: "ticketed", until: t0 + 5_000, looks: 0 } }, rev: 0 }]);
      expect(await store.listBacklog(7, 10)).toEqual([]);
      await store.replace([{ next: { ...task, attempt: 1 }, rev: 1 }]);
      expect((await store.listBacklog(7, 10)).map((one) => one.rev)).toEqual([2]);
    }));

  test("what waits for a limit comes in the order of the backlog, of its project and limit alone", () =>
    withStore(open, async (store) => {
      const limited = (key: string) => ({ kind: "limited" as const, key, until: t0, looks: 0 });
      const at = (priority: number, createTime: number, id: string) =>
        queued({ priority, createTime, id, queueing: limited("llm"), limitKeys: ["llm"], hold: 1 });
      const expected = [at(9, t0 + 9, "a"), at(1, t0 + 1, "b"), at(1, t0 + 2, "a2"), at(0, t0, "c1"), at(0, t0, "c2")];
      await store.insert([
        ...[4, 0, 2, 1, 3].flatMap((index) => expected[index] ?? []),
        queued({ queueing: limited("llm"), project: "other" }),
        queued({ queueing: limited("llm2") }),
        queued(),
        running({ limitKeys: ["llm"], hold: 1 }),
        succeeded({ limitKeys: ["llm"], hold: 1 }),
      ]);
      const ids = async (limit: number) => (await store.listLimited("acme", "llm", limit)).map((one) => one.task.id);
      expect(await ids(100)).toEqual(expected.map((task) => task.id));
      expect(await ids(2)).toEqual(["a", "b"]);
      expect(await store.countLimited("acme", "llm", 100)).toBe(5);
      expect(await store.countLimited("acme", "llm", 3)).toBe(3);
      expect(await store.countLimited("acme", "nobody", 3)).toBe(0);
    }));

  test("a task leaves the wait for a limit with its slot, and changes it for another one", () =>
    withStore(open, async (store) => {
      const queueing = { kind: "limited" as const, key: "llm", until: t0 + 9, looks: 0 };
      const [first, second] = [queued({ queueing }), queued({ queueing })];
      await store.insert([first, second]);
      await store.replace([
        { next: { ...first, queueing: { kind: "ticketed", until: t0 + 5_000, looks: 0 } }, rev: 0 },
        { next: { ...second, queueing: { ...queueing, key: "gpu" } }, rev: 0 },
      ]);
      expect(await store.listLimited("acme", "llm", 9)).toEqual([]);
      expect((await store.listLimited("acme", "gpu", 9)).map((one) => [one.task.id, one.rev])).toEqual([[second.id, 1]]);
      await store.replace([{ next: { ...first, queueing }, rev: 1 }]);
      expect((await store.listLimited("acme", "llm", 9)).map((one) => one.rev)).toEqual([2]);
    }));

  test("a large backlog is read in order while it is worked off", () =>
    withStore(open, async (store) => {
      const tasks = Array.from({ length: 500 }, (_, at) => queued({ id: freshId(), createTime: t0 + Math.floor(at / 7) }));
      await store.insert(tasks);
      const seen: string[] = [];
      for (;;) {
        const next = await store.listBacklog(7, 64);
        if (next.length === 0) break;
        seen.push(...next.map((one) => one.task.id));
        const held = next.map((one) => ({ next: running({ ...heldFrom(one.task) }), rev: one.rev }));
        expect(await store.replace(held)).toEqual(held.map(() => "replaced"));
      }
      expect(seen).toEqual(tasks.map((task) => task.id));
      expect((await store.get(tasks.map(keyOf))).every((one) => one?.task.state === "running")).toBe(true);
    }));
}

function heldFrom(task: Task): Partial<Omit<Extract<Task, { state: "running" }>, "state">> {
  return { id: task.id, createTime: task.createTime };
}
