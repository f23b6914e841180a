import { openSqlite } from "@longhaul/adapters/sqlite";
import type { CatalogStore, Json } from "@longhaul/core";
import { expect, test } from "vitest";
import { catalog } from "./catalog.ts";

const definition = (value: Json, name = "w"): Json => ({ name, nodes: [{ id: "a", kind: "transform", with: { value } }] });

function world(over: (store: CatalogStore) => Partial<CatalogStore> = () => ({})) {
  const real = openSqlite({ file: ":memory:" }).catalog;
  const announced: string[] = [];
  let now = 1_000;
  const open = (store: CatalogStore = { ...real, ...over(real) }) =>
    catalog({ store, now: () => now, announce: (project, name) => announced.push(`${project}/${name}`) });
  return {
    real,
    announced,
    open,
    catalog: open(),
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test("each change makes a revision, the same definition none; every revision stays", async () => {
  const { catalog: it, announced } = world();
  const first = await it.put("acme", "w", definition(1));
  const same = await it.put("acme", "w", definition(1));
  const second = await it.put("acme", "w", definition(2));
  const back = await it.put("acme", "w", definition(1));
  expect([first, same, second, back].map(({ revision }) => revision.revision)).toEqual([1, 1, 2, 3]);
  expect(same.revision.uid).toBe(first.revision.uid);
  expect(new Set([first, second, back].map(({ revision }) => revision.uid)).size).toBe(3);
  expect(new Set([first, second, back].map(({ head }) => head.uid)).size).toBe(1);
  expect((await it.get("acme", "w", 1)).revision.definition).toEqual(definition(1));
  expect((await it.get("acme", "w", 0)).revision.definition).toEqual(definition(1));
  expect(announced).toHaveLength(3);
});

test("a definition that is not right is refused with everything that is wrong with it", async () => {
  const { catalog: it } = world();
  const cases: readonly (readonly [string, Json, string])[] = [
    ["run", definition(1, "run"), "reserved"],
    ["-w", definition(1, "-w"), "begins with a letter"],
    ["w".repeat(129), definition(1), "128"],
    ["other", definition(1), "make them equal"],
    ["w", { name: "w", nodes: [{ id: "a", kind: "nothing" }] }, "not valid"],
    ["w", null, "not valid"],
  ];
  for (const [name, given, sentence] of cases)
    await expect(it.put("acme", name, given)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(sentence),
    });
  await expect(it.get("acme", "w", 0)).rejects.toMatchObject({ code: "workflow_not_found" });
});

test("a crash between revision and head is mended by the next put", async () => {
  const { real, open } = world();
  const dying = open({
    ...real,
    insertHead: () => Promise.reject(new Error("killed")),
    replaceHead: () => Promise.reject(new Error("killed")),
  });
  await expect(dying.put("acme", "w", definition(1))).rejects.toThrow("killed");
  await expect(open().get("acme", "w", 0)).rejects.toMatchObject({ code: "workflow_not_found" });
  const again = await open().put("acme", "w", definition(1));
  expect(again).toMatchObject({ head: { revision: 1 }, revision: { revision: 1 } });

  await expect(dying.put("acme", "w", definition(2))).rejects.toThrow("killed");
  const other = await open().put("acme", "w", definition(3));
  expect(other).toMatchObject({ head: { revision: 3 }, revision: { revision: 3, definition: definition(3) } });
  expect((await open().get("acme", "w", 2)).revision.definition).toEqual(definition(2));
});

test("many who put at once each get a revision of their own, and the head is the latest", async () => {
  const { open } = world();
  const results = await Promise.allSettled(Array.from({ length: 6 }, (_, i) => open().put("acme", "w", definition(i))));
  const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.revision] : []));
  expect(made.length).toBeGreaterThan(0);
  expect(new Set(made.map(({ revision }) => revision)).size).toBe(made.length);
  for (const result of results) if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "conflict" });
  for (const { revision, definition: given } of made)
    expect((await open().get("acme", "w", revision)).revision.definition).toEqual(given);
  expect((await open().get("acme", "w", 0)).head.revision).toBeGreaterThanOrEqual(
    Math.max(...made.map(({ revision }) => revision)),
  );
});

test("what is deleted is not found, until it is put again as a new revision of the same workflow", async () => {
  const { catalog: it } = world();
  const { head } = await it.put("acme", "w", definition(1));
  await it.delete("acme", "w");
  for (const gone of [
    it.get("acme", "w", 0),
    it.get("acme", "w", 1),
    it.resolve("acme", "w", 0),
    it.delete("acme", "w"),
    it.delete("acme", "../x"),
  ])
    await expect(gone).rejects.toMatchObject({ code: "workflow_not_found" });
  const again = await it.put("acme", "w", definition(1));
  expect(again).toMatchObject({ head: { uid: head.uid, revision: 2, deleted: false } });
});

test("a submit resolves what is cached; a bell or a second makes it look again", async () => {
  let reads = 0;
  const {
    catalog: it,
    open,
    pass,
  } = world((store) => ({
    getHead: (...args) => {
      reads++;
      return store.getHead(...args);
    },
  }));
  await it.put("acme", "w", definition(1));
  reads = 0;
  for (let i = 0; i < 5; i++) expect((await it.resolve("acme", "w", 0)).revision.revision).toBe(1);
  expect(reads).toBe(1);
  await open().put("acme", "w", definition(2));
  expect((await it.resolve("acme", "w", 0)).revision.revision).toBe(1);
  it.forget("acme", "w");
  expect((await it.resolve("acme", "w", 0)).revision.revision).toBe(2);
  await open().put("acme", "w", definition(3));
  pass(1_001);
  expect((await it.resolve("acme", "w", 0)).revision.revision).toBe(3);
  expect((await it.resolve("acme", "w", 1)).revision.revision).toBe(1);
  await expect(it.resolve("acme", "w", 4)).rejects.toMatchObject({ code: "workflow_not_found" });
  await expect(it.resolve("other", "w", 0)).rejects.toMatchObject({ code: "workflow_not_found" });
});
