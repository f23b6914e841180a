import type { CatalogStore } from "@longhaul/core";
import { describe, expect, test } from "vitest";
import { workflowHead, workflowRevision } from "./builders.ts";
import { hostileRecord, type Open, withStore } from "./opened.ts";

/** What every CatalogStore must do. `open` gives a fresh, empty store for each test. */
export function testCatalogStore(name: string, open: Open<CatalogStore>): void {
  describe(`${name} as a CatalogStore`, () => {
    test("an inserted head is read back at revision 0, and only in its project", () =>
      withStore(open, async (store) => {
        const head = workflowHead({ description: "Says it again.", supportsAsync: false, enabled: false });
        expect(await store.getHead("acme", "echo")).toBeUndefined();
        expect(await store.insertHead(head)).toBe("inserted");
        expect(await store.getHead("acme", "echo")).toStrictEqual({ head, rev: 0 });
        expect(await store.getHead("other", "echo")).toBeUndefined();
        expect(await store.getHead("acme", "Echo")).toBeUndefined();
      }));

    test("the second insert of a head says exists and changes nothing", () =>
      withStore(open, async (store) => {
        await store.insertHead(workflowHead());
        expect(await store.insertHead(workflowHead({ description: "another" }))).toBe("exists");
        expect((await store.getHead("acme", "echo"))?.head.description).toBe("");
        expect(await store.insertHead(workflowHead({ project: "other" }))).toBe("inserted");
      }));

    test("of many concurrent inserts of a head one is written", () =>
      withStore(open, async (store) => {
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, at) => store.insertHead(workflowHead({ description: `${at}` }))),
        );
        expect(answers.filter((answer) => answer === "inserted")).toHaveLength(1);
        expect((await store.getHead("acme", "echo"))?.head.description).toBe(`${answers.indexOf("inserted")}`);
      }));

    test("a head is replaced only over the revision that was read", () =>
      withStore(open, async (store) => {
        expect(await store.replaceHead(workflowHead(), 0)).toBe("stale");
        await store.insertHead(workflowHead());
        const next = workflowHead({ revision: 2, updateTime: 9, description: "new", deleted: true, enabled: false });
        expect(await store.replaceHead(next, 1)).toBe("stale");
        expect(await store.replaceHead(next, 0)).toBe("replaced");
        expect(await store.replaceHead(workflowHead(), 0)).toBe("stale");
        expect(await store.getHead("acme", "echo")).toStrictEqual({ head: next, rev: 1 });
      }));

    test("of many concurrent changes of a head one is written", () =>
      withStore(open, async (store) => {
        await store.insertHead(workflowHead());
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, at) => store.replaceHead(workflowHead({ revision: at }), 0)),
        );
        expect(answers.filter((answer) => answer === "replaced")).toHaveLength(1);
        expect(await store.getHead("acme", "echo")).toMatchObject({ head: { revision: answers.indexOf("replaced") }, rev: 1 });
      }));

    test("a revision is written once and read back exactly", () =>
      withStore(open, async (store) => {
        const revision = workflowRevision({ revision: 3, description: "third", supportsAsync: false });
        expect(await store.getRevision("acme", "echo", 3)).toBeUndefined();
        expect(await store.insertRevision(revision)).toBe("inserted");
        expect(await store.insertRevision({ ...revision, description: "other" })).toBe("exists");
        expect(await store.getRevision("acme", "echo", 3)).toStrictEqual(revision);
        expect(await store.getRevision("acme", "echo", 2)).toBeUndefined();
        expect(await store.getRevision("other", "echo", 3)).toBeUndefined();
      }));

    test("a definition keeps every key and the order of its keys", () =>
      withStore(open, async (store) => {
        const definition = { z: 1, nodes: [{ id: "a", with: hostileRecord() }], a: null, nested: { "$ref.x": { "": true } } };
        await store.insertRevision(workflowRevision({ definition }));
        const found = await store.getRevision("acme", "echo", 1);
        expect(JSON.stringify(found?.definition)).toBe(JSON.stringify(definition));
      }));

    test("heads are listed by name, without deleted ones, one project at a time, in pages", () =>
      withStore(open, async (store) => {
        for (const name of ["delta", "alpha", "Zulu", "charlie", "bravo"]) await store.insertHead(workflowHead({ name }));
        await store.insertHead(workflowHead({ name: "gone", deleted: true }));
        await store.insertHead(workflowHead({ name: "foreign", project: "other" }));
        const names = async (limit: number, after?: string) =>
          (await store.listHeads("acme", limit, after)).map((head) => head.name);
        expect(await names(10)).toEqual(["Zulu", "alpha", "bravo", "charlie", "delta"]);
        expect(await names(2)).toEqual(["Zulu", "alpha"]);
        expect(await names(2, "alpha")).toEqual(["bravo", "charlie"]);
        expect(await names(2, "bz")).toEqual(["charlie", "delta"]);
        expect(await names(2, "delta")).toEqual([]);
        expect((await store.listHeads("acme", 1))[0]).toStrictEqual(workflowHead({ name: "Zulu" }));
      }));

    test("revisions are listed newest first, in pages", () =>
      withStore(open, async (store) => {
        for (const revision of [1, 10, 2, 9]) await store.insertRevision(workflowRevision({ revision }));
        await store.insertRevision(workflowRevision({ revision: 5, name: "other" }));
        const numbers = async (limit: number, before?: number) =>
          (await store.listRevisions("acme", "echo", limit, before)).map((one) => one.revision);
        expect(await numbers(10)).toEqual([10, 9, 2, 1]);
        expect(await numbers(2)).toEqual([10, 9]);
        expect(await numbers(2, 9)).toEqual([2, 1]);
        expect(await numbers(2, 1)).toEqual([]);
        expect((await store.listRevisions("acme", "echo", 1))[0]).toStrictEqual(workflowRevision({ revision: 10 }));
      }));
  });
}
