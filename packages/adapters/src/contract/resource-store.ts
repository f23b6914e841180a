import type { Resource, ResourceStore } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { startOfTime } from "./builders.ts";
import { hostileStrings, type Open, withStore } from "./opened.ts";

function resource(over: Partial<Resource> = {}): Resource {
  return {
    project: "acme",
    kind: "schedule",
    name: "nightly",
    partition: 3,
    uid: "019a0000-0000-7000-8000-000000000001",
    createTime: startOfTime,
    updateTime: startOfTime,
    json: '{"cron":"0 3 * * *"}',
    ...over,
  };
}

const keyOf = ({ project, kind, name }: Resource) => ({ project, kind, name });

/** What every ResourceStore must do. `open` gives a fresh, empty store for each test. */
export function testResourceStore(name: string, open: Open<ResourceStore>): void {
  describe(`${name} as a ResourceStore`, () => {
    test("what is inserted is read back at revision 0, by its project, kind and name and no other", () =>
      withStore(open, async (store) => {
        const made = resource({ wakeAt: startOfTime + 5 });
        expect(await store.insert(made)).toBe("inserted");
        const others = [resource({ project: "other" }), resource({ kind: "limit" }), resource({ name: "Nightly" })].map(keyOf);
        expect(await store.get([...others, keyOf(made)])).toStrictEqual([
          undefined,
          undefined,
          undefined,
          { resource: made, rev: 0 },
        ]);
        expect(await store.get([])).toStrictEqual([]);
      }));

    test("any text comes back as it was", () =>
      withStore(open, async (store) => {
        const json = JSON.stringify(hostileStrings);
        await store.insert(resource({ json }));
        expect((await store.get([keyOf(resource())]))[0]?.resource.json).toBe(json);
      }));

    test("of many concurrent inserts one is written, and a second one changes nothing", () =>
      withStore(open, async (store) => {
        const answers = await Promise.all(Array.from({ length: 30 }, (_, at) => store.insert(resource({ json: `${at}` }))));
        expect(answers.filter((answer) => answer === "inserted")).toHaveLength(1);
        expect((await store.get([keyOf(resource())]))[0]?.resource.json).toBe(`${answers.indexOf("inserted")}`);
        expect(await store.insert(resource({ project: "other" }))).toBe("inserted");
      }));

    test("it is replaced only over the revision that was read, and keeps its uid and create time", () =>
      withStore(open, async (store) => {
        expect(await store.replace(resource(), 0)).toBe("stale");
        await store.insert(resource());
        const next = resource({ json: "2", updateTime: startOfTime + 9, wakeAt: startOfTime + 10 });
        expect(await store.replace(next, 0)).toBe("replaced");
        expect(await store.replace(resource({ json: "3" }), 0)).toBe("stale");
        expect(await store.get([keyOf(next)])).toStrictEqual([{ resource: next, rev: 1 }]);
        expect(await store.replace(resource({ json: "4", uid: "another", createTime: 1 }), 1)).toBe("replaced");
        // No wakeAt in the next one: nothing is due any more.
        expect(await store.get([keyOf(next)])).toStrictEqual([{ resource: resource({ json: "4" }), rev: 2 }]);
      }));

    test("of many concurrent replaces one wins", () =>
      withStore(open, async (store) => {
        await store.insert(resource());
        const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => store.replace(resource({ json: `${at}` }), 0)));
        expect(answers.filter((answer) => answer === "replaced")).toHaveLength(1);
        expect((await store.get([keyOf(resource())]))[0]?.resource.json).toBe(`${answers.indexOf("replaced")}`);
      }));

    test("it is removed only over the revision that was read; removed again is still removed", () =>
      withStore(open, async (store) => {
        await store.insert(resource());
        await store.replace(resource({ json: "2" }), 0);
        expect(await store.remove(keyOf(resource()), 0)).toBe("stale");
        expect(await store.remove(keyOf(resource()), 1)).toBe("removed");
        expect(await store.remove(keyOf(resource()), 1)).toBe("removed");
        expect(await store.get([keyOf(resource())])).toStrictEqual([undefined]);
        expect(await store.insert(resource({ uid: "anew" }))).toBe("inserted");
      }));

    test("a list has one kind of one project by name, in pages", () =>
      withStore(open, async (store) => {
        for (const each of ["b", "a", "Z", "c.d", "é"]) await store.insert(resource({ name: each }));
        await store.insert(resource({ name: "limit", kind: "limit" }));
        await store.insert(resource({ name: "foreign", project: "other" }));
        const names = async (limit: number, after?: string) =>
          (await store.list("acme", "schedule", limit, after)).map((found) => found.resource.name);
        expect(await names(10)).toEqual(["Z", "a", "b", "c.d", "é"]);
        expect(await names(2)).toEqual(["Z", "a"]);
        expect(await names(2, "a")).toEqual(["b", "c.d"]);
        expect(await names(2, "é")).toEqual([]);
      }));

    test("what is due comes earliest first, of one kind and of the partitions asked for", () =>
      withStore(open, async (store) => {
        const due = [
          resource({ name: "late", wakeAt: startOfTime + 30 }),
          resource({ name: "soon", wakeAt: startOfTime + 10, partition: 4 }),
          resource({ name: "middle", wakeAt: startOfTime + 20 }),
          resource({ name: "foreign", wakeAt: startOfTime + 5, partition: 5 }),
          resource({ name: "never" }),
          resource({ name: "limit", kind: "limit", wakeAt: startOfTime + 1 }),
        ];
        for (const each of due) await store.insert(each);
        const names = async (until: number, limit = 10) =>
          (await store.listDue("schedule", [3, 4], until, limit)).map((found) => found.resource.name);
        expect(await names(startOfTime + 20)).toEqual(["soon", "middle"]);
        expect(await names(startOfTime + 9)).toEqual([]);
        expect(await names(startOfTime + 99, 1)).toEqual(["soon"]);
        expect(await store.nextDue("schedule", [3, 4])).toBe(startOfTime + 10);
        expect(await store.nextDue("schedule", [3])).toBe(startOfTime + 20);
        expect(await store.nextDue("schedule", [9])).toBeUndefined();
        expect(await store.nextDue("schedule", [])).toBeUndefined();
      }));
  });
}
