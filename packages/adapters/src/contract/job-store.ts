import type { DoneJob, JobStore, LeasedJob, QueuedJob } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { startOfTime } from "./builders.ts";
import { hostileStrings, type Open, withStore } from "./opened.ts";

/** A queued job of project `acme` in partition 3. */
export function job(over: Partial<QueuedJob> = {}): QueuedJob {
  return {
    state: "queued",
    project: "acme",
    id: "019a0000-0000-8000-8000-000000000001",
    partition: 3,
    taskId: "019a0000-0000-7000-8000-000000000001",
    node: "call",
    function: "resize",
    input: { kind: "inline", json: '"sealed"' },
    priority: 0,
    createTime: startOfTime,
    deadline: startOfTime + 60_000,
    tries: 0,
    fence: 0,
    ...over,
  };
}

function leased(over: Partial<LeasedJob> = {}): LeasedJob {
  const { state: _, ...common } = job();
  return { ...common, state: "leased", worker: "w1", leaseUntil: startOfTime + 30_000, tries: 1, fence: 1, ...over };
}

function done(over: Partial<DoneJob> = {}): DoneJob {
  const { state: _, ...common } = job();
  return { ...common, state: "done", keptUntil: startOfTime + 90_000, fence: 1, ...over };
}

const keyOf = ({ project, id }: { readonly project: string; readonly id: string }) => ({ project, id });

/** What every JobStore must do. `open` gives a fresh, empty store for each test. */
export function testJobStore(name: string, open: Open<JobStore>): void {
  describe(`${name} as a JobStore`, () => {
    test("what is inserted is read back at revision 0, by its project and id and no other", () =>
      withStore(open, async (store) => {
        const made = job({ withheld: true, log: [{ at: startOfTime, line: "begun" }] });
        expect(await store.insert(made)).toBe("inserted");
        const others = [job({ project: "other" }), job({ id: "019a0000-0000-8000-8000-000000000002" })].map(keyOf);
        expect(await store.get([...others, keyOf(made)])).toStrictEqual([undefined, undefined, { job: made, rev: 0 }]);
        expect(await store.get([])).toStrictEqual([]);
      }));

    test("any text comes back as it was", () =>
      withStore(open, async (store) => {
        const log = hostileStrings.map((line) => ({ at: startOfTime, line }));
        const input = { kind: "inline" as const, json: JSON.stringify(hostileStrings) };
        await store.insert(job({ log, input, node: "each[3].a.b" }));
        expect((await store.get([keyOf(job())]))[0]?.job).toMatchObject({ log, input, node: "each[3].a.b" });
      }));

    test("of many concurrent inserts one is written, and a second one changes nothing", () =>
      withStore(open, async (store) => {
        const answers = await Promise.all(Array.from({ length: 30 }, (_, at) => store.insert(job({ node: `n${at}` }))));
        expect(answers.filter((answer) => answer === "inserted")).toHaveLength(1);
        expect((await store.get([keyOf(job())]))[0]?.job.node).toBe(`n${answers.indexOf("inserted")}`);
        expect(await store.insert(job({ project: "other" }))).toBe("inserted");
      }));

    test("of many workers that lease one job over the same revision one gets it", () =>
      withStore(open, async (store) => {
        expect(await store.replace(leased(), 0)).toBe("stale");
        await store.insert(job());
        const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => store.replace(leased({ worker: `w${at}` }), 0)));
        expect(answers.filter((answer) => answer === "replaced")).toHaveLength(1);
        const worker = `w${answers.indexOf("replaced")}`;
        expect(await store.get([keyOf(job())])).toStrictEqual([{ job: leased({ worker }), rev: 1 }]);
        expect(await store.replace(done(), 0)).toBe("stale");
        expect(await store.replace(done(), 1)).toBe("replaced");
      }));

    test("it is removed only over the revision that was read; removed again is still removed", () =>
      withStore(open, async (store) => {
        await store.insert(job());
        await store.replace(leased(), 0);
        expect(await store.remove(keyOf(job()), 0)).toBe("stale");
        expect(await store.remove(keyOf(job()), 1)).toBe("removed");
        expect(await store.remove(keyOf(job()), 1)).toBe("removed");
        expect(await store.get([keyOf(job())])).toStrictEqual([undefined]);
        expect(await store.insert(job())).toBe("inserted");
      }));

    test("queued ones of a function come by priority, then age, then id; leased and done ones do not", () =>
      withStore(open, async (store) => {
        const made = [
          job({ id: "c" }),
          job({ id: "b" }),
          job({ id: "old", createTime: startOfTime - 1 }),
          job({ id: "urgent", createTime: startOfTime + 9, priority: 5 }),
          job({ id: "low", createTime: startOfTime - 9, priority: -5 }),
          job({ id: "taken" }),
          job({ id: "foreign", project: "other" }),
          job({ id: "another", function: "Resize" }),
        ];
        for (const each of made) await store.insert(each);
        await store.replace(leased({ id: "taken" }), 0);
        const ids = async (limit: number) => (await store.listQueued("acme", "resize", limit)).map((found) => found.job.id);
        expect(await ids(10)).toEqual(["urgent", "old", "b", "c", "low"]);
        expect(await ids(2)).toEqual(["urgent", "old"]);
        await store.replace(job({ id: "taken", fence: 1 }), 1);
        expect(await ids(10)).toEqual(["urgent", "old", "b", "c", "taken", "low"]);
        expect(await store.listQueued("acme", "none", 10)).toStrictEqual([]);
      }));

    test("those of a task come by id, in pages, in whatever state", () =>
      withStore(open, async (store) => {
        for (const id of ["b", "a", "c"]) await store.insert(job({ id }));
        await store.insert(job({ id: "d", taskId: "another" }));
        await store.insert(job({ id: "e", project: "other" }));
        await store.replace(leased({ id: "b" }), 0);
        await store.replace(done({ id: "c" }), 0);
        const { taskId } = job();
        const ids = async (limit: number, after?: string) =>
          (await store.listOfTask("acme", taskId, limit, after)).map((found) => found.job.id);
        expect(await ids(10)).toEqual(["a", "b", "c"]);
        expect(await ids(2)).toEqual(["a", "b"]);
        expect(await ids(2, "b")).toEqual(["c"]);
      }));

    test("what is due comes earliest first, of the partitions asked for, by what its state waits for", () =>
      withStore(open, async (store) => {
        await store.insert(job({ id: "queued", deadline: startOfTime + 20 }));
        await store.insert(job({ id: "leased" }));
        await store.replace(leased({ id: "leased", leaseUntil: startOfTime + 10 }), 0);
        await store.insert(job({ id: "done", partition: 4 }));
        await store.replace(done({ id: "done", partition: 4, keptUntil: startOfTime + 30 }), 0);
        await store.insert(job({ id: "foreign", partition: 5, deadline: startOfTime + 5 }));
        const ids = async (until: number, limit = 10) => (await store.listDue([3, 4], until, limit)).map((found) => found.job.id);
        expect(await ids(startOfTime + 20)).toEqual(["leased", "queued"]);
        expect(await ids(startOfTime + 99, 1)).toEqual(["leased"]);
        expect(await ids(startOfTime + 9)).toEqual([]);
        expect(await store.nextDue([3, 4])).toBe(startOfTime + 10);
        expect(await store.nextDue([4])).toBe(startOfTime + 30);
        expect(await store.nextDue([9])).toBeUndefined();
        expect(await store.nextDue([])).toBeUndefined();
      }));
  });
}
