import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Json } from "./src/api.ts";
import { type OutsideCall, silence } from "./src/outside.ts";
import { stage } from "./src/stage.ts";
import { systems } from "./src/system.ts";
import { until } from "./src/until.ts";

const items = [10, 20, 30];

/** What each call of the graph below sends, when it is right: ten calls in a row, and one more for each item. */
const sent: Readonly<Record<string, readonly Json[]>> = {
  c1: [1],
  c2: [2],
  c3: [4],
  c4: [5],
  c5: [6],
  inside: items,
  c6: [[11, 21, 31]],
  c7: ["go"],
  c8: ["approve"],
  c9: ["nine"],
  c10: ["ten"],
};
const calls = Object.values(sent).reduce((sum, values) => sum + values.length, 0);
const beforeTold = 6 + items.length;

/** When the executor is killed: for each call once, the first time that it is seen. */
const moments = ["is not answered yet", "has just been answered"] as const;

describe.each(systems)("%s", (_name, start) => {
  // The shortest lease there is, so that what a killed executor held comes back soon.
  const at = stage(() => start({ env: { LEASE_MS: "1500" } }));

  /** Ten nodes that call the outside, and one of every kind without effects between them. */
  async function putGraph(name: string): Promise<void> {
    const child = `${name}-child`;
    await at.api.put({
      name: child,
      nodes: [{ id: "sum", kind: "transform", with: "${ input.n + 1 }" }],
      output: "${ nodes.sum }",
    });
    const call = (id: string, needs: string | undefined, value: string) => ({
      id,
      kind: "http",
      ...(needs !== undefined && { needs: [needs] }),
      with: { method: "POST", url: `${at.outside.url}/\${ input.tag }/${id}`, json: { value } },
    });
    const source = "export default function ({ n }) { return { n: n * 2 }; }";
    await at.api.put({
      name,
      nodes: [
        call("c1", undefined, "${ input.n }"),
        { id: "transform", kind: "transform", needs: ["c1"], with: { n: "${ nodes.c1.body.value + 1 }" } },
        call("c2", "transform", "${ nodes.transform.n }"),
        { id: "code", kind: "code", needs: ["c2"], with: { input: { n: "${ nodes.c2.body.value }" }, source } },
        call("c3", "code", "${ nodes.code.n }"),
        { id: "pause", kind: "wait", needs: ["c3"], with: { for: "100ms" } },
        { ...call("c4", "pause", "${ nodes.c3.body.value + 1 }"), needs: ["pause", "c3"] },
        { id: "child", kind: "workflow", needs: ["c4"], with: { name: child, input: { n: "${ nodes.c4.body.value }" } } },
        call("c5", "child", "${ nodes.child }"),
        {
          id: "each",
          kind: "foreach",
          needs: ["c5"],
          with: { items, concurrency: 1 },
          nodes: [call("inside", undefined, "${ item }")],
          output: "${ nodes.inside.body.value + 1 }",
        },
        call("c6", "each", "${ nodes.each.results }"),
        { id: "told", kind: "signal", needs: ["c6"] },
        call("c7", "told", "${ nodes.told }"),
        { id: "asked", kind: "approval", needs: ["c7"], with: { prompt: "Go on?" } },
        call("c8", "asked", "${ nodes.asked.choice }"),
        call("c9", "c8", "nine"),
        call("c10", "c9", "ten"),
      ],
      output: { last: "${ nodes.c10.body.value }", items: "${ nodes.c6.body.value }" },
    });
  }

  test.each(moments)(
    "kill -9 of the executor at each of ten calls in turn, when it %s: every call is done once",
    async (moment) => {
      const name = `ten-${moments.indexOf(moment)}`;
      await putGraph(name);
      const tag = randomUUID();
      const seen = new Set<string>();
      let killed = 0;
      let restarted = Promise.resolve();
      const kill = (): void => {
        killed++;
        // One after the other: a new process may call before we have read that it serves.
        restarted = restarted.then(() => at.system.service("executor").restart());
      };
      at.outside.answer(`/${tag}/`, (call: OutsideCall) => {
        const isFirst = !seen.has(call.key);
        seen.add(call.key);
        if (isFirst && moment === "is not answered yet") {
          kill();
          return silence;
        }
        if (isFirst) call.response.once("finish", kill);
        return JSON.parse(call.body);
      });
      const restartedAfter = async (count: number): Promise<void> => {
        await until(() => killed >= count, 120_000, `kill number ${count}`);
        await restarted;
      };
      const signal = async (id: string, node: string, payload: Json): Promise<void> => {
        await at.api.when(
          id,
          ({ state, waitingFor }) => state === "waiting" && waitingFor?.kind === (node === "told" ? "signal" : "approval"),
        );
        // In solo the next kill may take the answer with it; what was sent is stored by then, or the test does not go on.
        const reply = await at.api.call(`/v1/tasks/${id}:signal`, { body: { node, payload } }).catch(() => undefined);
        expect([undefined, 200]).toContain(reply?.status);
      };

      const { id } = await at.api.submit({ workflow: name, input: { tag, n: 1 } }).catch(() => ({ id: "" }));
      await restartedAfter(beforeTold);
      const task = id === "" ? ((await at.api.list(`workflow=${name}`))[0]?.id ?? "") : id;
      await signal(task, "told", "go");
      await restartedAfter(beforeTold + 1);
      await signal(task, "asked", { choice: "approve" });
      await restartedAfter(calls);

      const ended = await at.api.ended(task);
      expect(ended).toMatchObject({ state: "succeeded", output: { last: "ten", items: [11, 21, 31] } });
      expect(killed).toBe(calls);
      expect(ended.attempt).toBeGreaterThanOrEqual(calls);
      for (const [caller, values] of Object.entries(sent)) {
        const mine = at.outside.calls.filter((call) => call.path === `/${tag}/${caller}`);
        // By its operation key every call is the same one, however often it was sent, and says the same.
        const byKey = new Map(mine.map(({ key, body }) => [key, body]));
        for (const { key, body } of mine) expect(body).toBe(byKey.get(key));
        expect([...byKey.values()].map((body) => JSON.parse(body).value)).toEqual(values);
        expect(byKey.has("")).toBe(false);
        if (moment === "is not answered yet") expect(mine).toHaveLength(2 * byKey.size);
        else expect(mine.length).toBeLessThanOrEqual(2 * byKey.size);
      }
      expect(seen.size).toBe(calls);
      const nodes = await at.api.nodes(task);
      expect(nodes.filter(({ state }) => state !== "succeeded")).toEqual([]);
    },
  );
});
