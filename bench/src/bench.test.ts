import { expect, test } from "vitest";
import { bench } from "./bench.ts";
import { readOptions } from "./options.ts";
import { renderReport } from "./report/render-report.ts";
import { summarise } from "./report/summary.ts";

test("a tiny run measures solo beside its floor and finds every task's result right", { timeout: 120_000 }, async () => {
  const args =
    "--tasks 50 --warmup 0 --rounds 1 --in-flight 8 --steady-seconds 1 --steady-rate 5 --only solo,solo-floor --workloads echo,chain5";
  const { summary, report } = await bench(readOptions(args.split(" ")), () => {});
  const names = summary.runs.map((run) => `${run.target} ${run.workflow}`);
  expect(names).toEqual(["solo echo", "solo chain5", "solo-floor echo", "solo-floor chain5"]);
  for (const run of summary.runs) {
    for (const value of [
      run.accepted.median,
      run.completed?.median,
      run.submitP50Ms,
      run.submitP99Ms,
      run.steadyP50Ms,
      run.steadyP99Ms,
    ]) {
      expect(value).toBeGreaterThan(0);
      expect(value).toBeLessThan(Number.POSITIVE_INFINITY);
    }
  }
  expect(summary.ratios.map((one) => `${one.product} ${one.workflow}`)).toEqual(["solo echo", "solo chain5"]);
  expect(report).toContain("| solo, echo");
  expect(report).not.toMatch(/NaN|Infinity|undefined/);
});

test("a tiny run of the engine's workloads checks every result and every timer", { timeout: 180_000 }, async () => {
  const args = "--only solo,sqlite --workloads foreach-1000,code,wait-10000 --engine-percent 1 --in-flight 8 --rounds 2";
  const { summary, report } = await bench(readOptions(args.split(" ")), () => {});
  const [each, code, wait] = summary.engine;
  expect(summary.engine.map(({ product, workload, tasks }) => [product, workload, tasks])).toEqual([
    ["solo", "foreach-1000", 10],
    ["solo", "code", 10],
    ["solo", "wait-10000", 100],
  ]);
  expect(each?.itemsPerSecond).toBeCloseTo((each?.tasksPerSecond ?? 0) * 10);
  expect(code?.tasksPerSecond).toBeGreaterThan(0);
  expect(wait?.waiting?.tasks).toBe(100);
  expect(wait?.waiting?.lateP50Ms).toBeGreaterThanOrEqual(0);
  expect(wait?.waiting?.lateP99Ms).toBeGreaterThanOrEqual(wait?.waiting?.lateP50Ms ?? Number.NaN);
  expect(wait?.waiting?.waitingMib).toBeGreaterThan(process.platform === "linux" ? 0 : -1);
  expect([summary.runs, summary.loops]).toEqual([[], []]);
  expect(report).toContain("| solo, wait-10000");
  expect(report).not.toMatch(/NaN|Infinity|undefined/);
});

test("the report takes the median of the rounds and the ratio of each round", () => {
  const run = {
    workflow: "echo",
    acceptedPerSecond: 1,
    submitP50Ms: 1,
    submitP99Ms: 2,
    cpuMsPerTask: { it: 1 },
    loadCpuShare: 0.1,
  } as const;
  const figures = (completedPerSecond: number) => ({
    runs: [{ ...run, completedPerSecond }],
    peakBytes: { it: 2 ** 20 },
    servers: [],
    warnings: [],
  });
  const round = (solo: number, floor: number) => ({
    targets: { solo: figures(solo), "solo-floor": figures(floor) },
    loops: [],
    engine: {},
  });
  const summary = summarise([round(60, 100), round(10, 40), round(80, 100)]);
  expect(summary.runs[0]?.completed).toEqual({ median: 60, min: 10, max: 80 });
  expect(summary.ratios[0]?.ratio).toEqual({ median: 0.6, min: 0.25, max: 0.8 });
  const report = renderReport(summary, readOptions([]), "a machine");
  expect(report).toMatch(/solo \/ floor, echo +\| +60 % \(25–80\) +\| +100 % +\| +60 % \| PASS/);
});

test.each([
  [["--tasks", "many"], /--tasks takes a whole number of at least 1, not many/],
  [["--rounds", "0"], /--rounds takes a whole number of at least 1/],
  [["--only", "solo,everything"], /--only knows .*; not everything/],
  [["--workloads", "echo,sleep"], /--workloads knows .*; not sleep/],
])("%j is refused with a sentence", (args, sentence) => {
  expect(() => readOptions(args)).toThrow(sentence);
});

test("floors and products are names for several subjects", () => {
  expect(readOptions(["--only", "products,jetstream"]).only).toEqual(["solo", "cluster", "jetstream"]);
});
