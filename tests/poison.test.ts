import { describe, expect, test } from "vitest";
import { silence } from "./src/outside.ts";
import { stage } from "./src/stage.ts";
import { cluster, solo } from "./src/system.ts";

const env = { MAX_TRIES: "3", LEASE_MS: "1000" };

describe.each([
  ["solo", () => solo({ env }), "solo"],
  ["cluster", () => cluster({ env }), "executor"],
] as const)("%s", (_name, start, runner) => {
  const at = stage(start);

  test("a task that kills its executor every time ends as failed after its tries; its neighbours end well", async () => {
    at.outside.answer("/poison", () => {
      void at.system.service(runner).restart();
      return silence;
    });
    await at.api.put({
      name: "poison",
      nodes: [{ id: "x", kind: "http", with: { method: "POST", url: `${at.outside.url}/poison` } }],
    });
    await at.api.put({
      name: "neighbour",
      nodes: [{ id: "x", kind: "http", with: { method: "POST", url: `${at.outside.url}/neighbour`, json: "${ input }" } }],
      output: "${ nodes.x.status }",
    });
    const neighbours = await Promise.all(
      Array.from({ length: 10 }, (_, n) => at.api.submit({ workflow: "neighbour", input: n })),
    );
    const poison = await at.api.submit({ workflow: "poison", webhook: { url: `${at.outside.url}/told` } });
    await at.outside.called((call) => call.path === "/told", 60_000);
    await at.system.up();
    expect(await at.api.get(poison.id)).toMatchObject({ state: "failed", attempt: 3, error: { code: "tries_exhausted" } });
    expect(at.outside.calls.filter((call) => call.path === "/poison")).toHaveLength(3);
    expect(at.outside.keysOf("/poison").size).toBe(1);
    for (const { id } of neighbours) expect(await at.api.ended(id)).toMatchObject({ state: "succeeded", output: 200 });
    expect(at.outside.keysOf("/neighbour").size).toBe(10);
  });
});
