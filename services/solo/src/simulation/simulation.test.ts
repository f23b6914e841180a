import { expect, test } from "vitest";
import { runHistory } from "./history.ts";

// LONGHAUL_SEED=... replays one history; LONGHAUL_HISTORIES=... tries more of them, from LONGHAUL_FIRST_SEED on.
const only = process.env["LONGHAUL_SEED"];
const first = Number(process.env["LONGHAUL_FIRST_SEED"] ?? 1);
const count = Number(process.env["LONGHAUL_HISTORIES"] ?? 40);
const seeds = only === undefined ? Array.from({ length: count }, (_, i) => first + i) : [Number(only)];
const perTest = 20;

for (let at = 0; at < seeds.length; at += perTest) {
  const group = seeds.slice(at, at + perTest);
  test(`whatever dies, hangs or is lost, every promise is kept (seeds ${group[0]} to ${group.at(-1)})`, {
    timeout: 240_000,
  }, async () => {
    for (const seed of group) {
      const { broken, tasks } = await runHistory(seed);
      expect(tasks).toBeGreaterThan(0);
      expect(broken, `LONGHAUL_SEED=${seed} replays this history`).toEqual([]);
    }
  });
}

test("a seed replays exactly", { timeout: 60_000 }, async () => {
  const seed = seeds[0] ?? 1;
  const one = await runHistory(seed);
  const two = await runHistory(seed);
  expect(two).toEqual(one);
  expect((await runHistory(seed + 1)).digest).not.toBe(one.digest);
});

test.each(["ignores-revisions", "forgets-tasks", "forgets-debts"] as const)(
  "a store that %s is found out",
  { timeout: 60_000 },
  async (sabotage) => {
    const found: string[] = [];
    for (let seed = 1; seed <= 10 && found.length === 0; seed++) found.push(...(await runHistory(seed, sabotage)).broken);
    expect(found).not.toEqual([]);
  },
);
