import type { NodeRun, TaskStore } from "@longhaul/core";
import { expect, test } from "vitest";
import { failure, freshId, keyOf, nodeRun, queued, running, startOfTime, succeeded } from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

/** Node runs: written with the header or before it, never over a higher attempt, listed in order. */
export function testNodeRuns(open: Open<TaskStore>): void {
  test("node runs are written with the header", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      const runs = [nodeRun(task, { path: "a" }), nodeRun(task, { path: "b" })];
      expect(await store.replace([{ next: succeeded({ id: task.id }), rev: 0, nodeRuns: runs }])).toEqual(["replaced"]);
      expect(await store.listNodeRuns(keyOf(task), 10)).toStrictEqual(runs);
    }));

  test("a node run comes back exactly as it was, with every field and with few", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const runs: NodeRun[] = [
        nodeRun(key, { path: "a", state: "pending" }),
        nodeRun(key, { path: "b", state: "running", input: { kind: "stored", key: "k", bytes: 9_999 } }),
        nodeRun(key, { path: "c", state: "waiting", tries: 4 }),
        nodeRun(key, {
          path: "d",
          input: { kind: "inline", json: '"in"' },
          output: { kind: "inline", json: '{"a":[1,2,"ä🙂"]}' },
          endTime: startOfTime + 50,
        }),
        nodeRun(key, {
          path: "e",
          state: "failed",
          error: failure({ node: "e" }),
          output: { kind: "stored", key: "o", bytes: 1 },
        }),
        nodeRun(key, { path: "f", state: "skipped" }),
        nodeRun(key, { path: "g", state: "cancelled" }),
        nodeRun(key, {
          path: "h[3].ask",
          state: "waiting",
          wait: {
            kind: "approval",
            since: startOfTime,
            until: startOfTime + 9,
            name: "go",
            reason: "It waits for an approval.",
            details: { "a.b": "$c", choices: ["yes", "no"] },
            memory: [1, null, { $set: true }],
          },
          childId: freshId(),
          secret: true,
        }),
        nodeRun(key, { path: "i", state: "waiting", wait: { kind: "timer", since: startOfTime, reason: "It waits." } }),
        nodeRun(key, {
          path: "j",
          usage: { inputTokens: 10, outputTokens: 20, totalTokens: 30, firstTokenMs: 0.5 },
          log: { kind: "inline", json: '[{"at":1,"line":"ä\\n"}]' },
        }),
        nodeRun(key, {
          path: "k",
          usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 },
          log: { kind: "stored", key: "l", bytes: 65_000 },
        }),
      ];
      await store.putNodeRuns(runs);
      expect(await store.listNodeRuns(key, 100)).toStrictEqual(runs);
    }));

  test("a node run is written over one of an equal or lower attempt, and not over a higher one", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const put = (attempt: number, kind: string) => store.putNodeRuns([nodeRun(key, { attempt, kind })]);
      const kept = async () => (await store.listNodeRuns(key, 10)).map((run) => [run.attempt, run.kind]);
      await put(2, "first");
      expect(await kept()).toEqual([[2, "first"]]);
      await put(2, "equal");
      expect(await kept()).toEqual([[2, "equal"]]);
      await put(1, "lower");
      expect(await kept()).toEqual([[2, "equal"]]);
      await put(3, "higher");
      expect(await kept()).toEqual([[3, "higher"]]);
    }));

  test("a run that is written over leaves none of its fields behind", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      await store.putNodeRuns([
        nodeRun(key, {
          output: { kind: "inline", json: "1" },
          error: failure(),
          input: { kind: "inline", json: "2" },
          endTime: 9,
          wait: { kind: "child", since: 1, reason: "It waits." },
          usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
          log: { kind: "inline", json: "[]" },
          childId: "c",
          secret: true,
        }),
      ]);
      const bare = nodeRun(key, { attempt: 2, state: "pending" });
      await store.putNodeRuns([bare]);
      expect(await store.listNodeRuns(key, 10)).toStrictEqual([bare]);
    }));

  test("the higher attempt wins within one call and between concurrent ones", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      await store.putNodeRuns([1, 3, 2].map((attempt) => nodeRun(key, { path: "one", attempt })));
      await Promise.all(
        [4, 9, 1, 7, 2, 8, 3, 5, 6].map((attempt) => store.putNodeRuns([nodeRun(key, { path: "two", attempt })])),
      );
      const kept = await store.listNodeRuns(key, 10);
      expect(kept.map((run) => [run.path, run.attempt])).toEqual([
        ["one", 3],
        ["two", 9],
      ]);
    }));

  test("a stale node run is passed over in silence while the rest of its call is written", () =>
    withStore(open, async (store) => {
      const task = queued();
      await store.insert([task]);
      await store.putNodeRuns([nodeRun(task, { path: "a", attempt: 5, kind: "kept" })]);
      const change = {
        next: running({ id: task.id }),
        rev: 0,
        nodeRuns: [nodeRun(task, { path: "a", attempt: 1, kind: "stale" }), nodeRun(task, { path: "b", attempt: 1 })],
      };
      expect(await store.replace([change])).toEqual(["replaced"]);
      const kept = await store.listNodeRuns(keyOf(task), 10);
      expect(kept.map((run) => [run.path, run.attempt, run.kind])).toEqual([
        ["b", 1, "transform"],
        ["a", 5, "kept"],
      ]);
    }));

  test("node runs may be put before their task is inserted", () =>
    withStore(open, async (store) => {
      const task = queued();
      const runs = [nodeRun(task, { attempt: 0, report: 0 })];
      await store.putNodeRuns(runs);
      expect(await store.get([keyOf(task)])).toEqual([undefined]);
      expect(await store.insert([task])).toEqual(["inserted"]);
      expect(await store.listNodeRuns(keyOf(task), 10)).toStrictEqual(runs);
    }));

  test("node runs are listed by attempt, report and path, and paged without gaps or repeats", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const runs = [0, 1, 2].flatMap((attempt) =>
        [0, 2, 10].flatMap((report) => ["a", "each[0].b", "each[1].b", "z"].map((path) => ({ attempt, report, path }))),
      );
      // One path is one run, so every combination gets a path of its own that sorts alike.
      const all = runs.map(({ attempt, report, path }) =>
        nodeRun(key, { attempt, report, path: `${path}.${attempt}.${report}` }),
      );
      await store.putNodeRuns([...all].reverse());
      expect(await store.listNodeRuns(key, 100)).toStrictEqual(all);
      for (const size of [1, 5, 12, 36]) {
        const paged: NodeRun[] = [];
        for (let page = await store.listNodeRuns(key, size); page.length > 0; ) {
          expect(page.length).toBeLessThanOrEqual(size);
          paged.push(...page);
          const last = page.at(-1);
          if (!last) break;
          page = await store.listNodeRuns(key, size, { attempt: last.attempt, report: last.report, path: last.path });
        }
        expect(paged).toStrictEqual(all);
      }
    }));

  test("without a path, node runs are listed from behind a whole report", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const at = (attempt: number, report: number, path: string) => nodeRun(key, { attempt, report, path });
      const all = [at(1, 1, "a"), at(1, 2, "b"), at(1, 2, "c"), at(1, 3, "d"), at(2, 1, "e")];
      await store.putNodeRuns(all);
      const paths = async (attempt: number, report: number) =>
        (await store.listNodeRuns(key, 10, { attempt, report })).map((run) => run.path);
      expect(await paths(0, 0)).toEqual(["a", "b", "c", "d", "e"]);
      expect(await paths(1, 1)).toEqual(["b", "c", "d", "e"]);
      expect(await paths(1, 2)).toEqual(["d", "e"]);
      expect(await paths(1, 99)).toEqual(["e"]);
      expect(await paths(2, 1)).toEqual([]);
    }));

  test("node runs are found by project and task together", () =>
    withStore(open, async (store) => {
      const [mine, next] = [queued(), queued()];
      await store.putNodeRuns([nodeRun(mine), nodeRun(next)]);
      expect(await store.listNodeRuns({ project: "other", id: mine.id }, 10)).toEqual([]);
      expect((await store.listNodeRuns(keyOf(mine), 10)).map((run) => run.taskId)).toEqual([mine.id]);
    }));

  test("300 node runs in one call are all kept", () =>
    withStore(open, async (store) => {
      const key = { project: "acme", id: freshId() };
      const runs = Array.from({ length: 300 }, (_, at) => nodeRun(key, { path: `each[${String(at).padStart(3, "0")}].a` }));
      await store.putNodeRuns(runs);
      expect(await store.listNodeRuns(key, 1_000)).toStrictEqual(runs);
    }));
}
