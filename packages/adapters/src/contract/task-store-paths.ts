import type { NodeRun, NodeRunFilter, TaskStore } from "@longhaul/core";
import { expect, test } from "vitest";
import { freshId, keyOf, nodeRun, queued } from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

/** Node runs by their paths: single ones, a level of them, all that one foreach made. */
export function testNodeRunPaths(open: Open<TaskStore>): void {
  test("node runs are got by their paths, in the order of the question, and what is not there is undefined", () =>
    withStore(open, async (store) => {
      const [mine, other] = [queued(), queued()];
      const runs = [
        nodeRun(mine, { path: "a" }),
        nodeRun(mine, { path: "each[0].b" }),
        nodeRun(other, { path: "a", attempt: 3 }),
      ];
      await store.putNodeRuns(runs);
      const key = (task: typeof mine, path: string) => ({ ...keyOf(task), path });
      const keys = [
        key(other, "a"),
        key(mine, "each[0].b"),
        key(mine, "each[0]"),
        key(mine, "a"),
        key(mine, "a"),
        key(other, "b"),
      ];
      expect(await store.getNodeRuns(keys)).toStrictEqual([runs[2], runs[1], undefined, runs[0], runs[0], undefined]);
      expect(await store.getNodeRuns([{ ...key(mine, "a"), project: "other" }])).toStrictEqual([undefined]);
      expect(await store.getNodeRuns([])).toStrictEqual([]);
    }));

  test("many node runs are got at once", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const runs = Array.from({ length: 500 }, (_, at) => nodeRun(key, { path: `each[${at}].a` }));
      await store.putNodeRuns(runs);
      expect(await store.getNodeRuns(runs.map(({ path }) => ({ ...key, path })))).toStrictEqual(runs);
    }));

  const paths = [
    "after",
    "before.that",
    "each",
    "each2",
    "each2[0].a",
    "eacha",
    ...[0, 1, 10].flatMap((at) => [
      `each[${at}]`,
      `each[${at}].a`,
      `each[${at}].b.c`,
      `each[${at}].in`,
      `each[${at}].in[0]`,
      `each[${at}].in[0].x`,
    ]),
    "eäch[0].a",
    "zz",
  ];
  /** By attempt and report in no order of paths, so that the order of the answer shows. */
  const runsOf = (key: { readonly project: string; readonly id: string }): NodeRun[] =>
    paths.map((path, at) => nodeRun(key, { path, attempt: (at * 7) % 3, report: (at * 5) % 4 }));
  const ordered = (runs: readonly NodeRun[]): NodeRun[] =>
    [...runs].sort((a, b) => a.attempt - b.attempt || a.report - b.report || (a.path < b.path ? -1 : 1));

  test.each<readonly [string, NodeRunFilter, readonly string[]]>([
    ["everything", {}, paths],
    ["the workflow's own nodes", { top: true }, ["after", "before.that", "each", "each2", "eacha", "zz"]],
    ["all that a foreach made", { prefix: "each[" }, paths.filter((path) => path.startsWith("each["))],
    ["its items as such", { prefix: "each[", top: true }, ["each[0]", "each[1]", "each[10]"]],
    [
      "what one item made",
      { prefix: "each[1]." },
      ["each[1].a", "each[1].b.c", "each[1].in", "each[1].in[0]", "each[1].in[0].x"],
    ],
    ["the nodes of one item", { prefix: "each[1].", top: true }, ["each[1].a", "each[1].b.c", "each[1].in"]],
    ["the items of an inner foreach", { prefix: "each[10].in[", top: true }, ["each[10].in[0]"]],
    ["behind letters that are no ASCII", { prefix: "eäch[0].", top: true }, ["eäch[0].a"]],
    ["behind a prefix that nothing has", { prefix: "each[%" }, []],
    ["behind a prefix full of signs", { prefix: ".*[^", top: true }, []],
  ])("of the node runs of a task %s can be listed, in order and by pages", (_name, only, expected) =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const runs = runsOf(key);
      await store.putNodeRuns([...runs, ...runsOf({ project: "acme", id: freshId() })]);
      const wanted = ordered(runs.filter(({ path }) => expected.includes(path)));
      expect(await store.listNodeRuns(key, 100, undefined, only)).toStrictEqual(wanted);
      expect(await store.listNodeRuns({ ...key, project: "other" }, 100, undefined, only)).toEqual([]);
      const paged: NodeRun[] = [];
      for (let page = await store.listNodeRuns(key, 2, undefined, only); page.length > 0; ) {
        expect(page.length).toBeLessThanOrEqual(2);
        paged.push(...page);
        const last = page.at(-1);
        if (!last) break;
        page = await store.listNodeRuns(key, 2, { attempt: last.attempt, report: last.report, path: last.path }, only);
      }
      expect(paged).toStrictEqual(wanted);
    }),
  );
}
