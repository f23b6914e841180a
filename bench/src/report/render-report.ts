import type { BenchOptions } from "../options.ts";
import type { TargetName } from "../run-bench.ts";
import { goals } from "./goals.ts";
import { markdownTable, shown } from "./markdown-table.ts";
import type { Spread } from "./stats.ts";
import type { RunSummary, Summary } from "./summary.ts";

const titles: Readonly<Record<TargetName, string>> = {
  solo: "solo",
  "solo-floor": "solo floor",
  cluster: "four services",
  "split-floor": "split floor",
  fastify: "bare Fastify POST",
};

/** The whole report in Markdown. */
export function renderReport(summary: Summary, options: BenchOptions, machine: string): string {
  const { tasks, warmup, inFlight, rounds, steadyPerSecond, steadySeconds, timersPerSecond } = options;
  const steady = steadySeconds === 0 ? "no steady load" : `steady load of ${steadyPerSecond}/s for ${steadySeconds} s`;
  const timers = summary.engine.some(({ waiting }) => waiting !== undefined) ? `, ${timersPerSecond} timers/s` : "";
  return [
    `${machine}; ${tasks} tasks per workflow after ${warmup} uncounted, ${inFlight} in flight, ${steady}${timers}; medians of ${rounds} rounds (lowest–highest).`,
    ...(summary.runs.length === 0 ? [] : [runTable(summary)]),
    ...(summary.engine.length === 0 ? [] : [engineTable(summary)]),
    ...(summary.loops.length === 0 ? [] : [loopTable(summary)]),
    ...(summary.processes.length === 0 ? [] : [processTable(summary)]),
    ...(summary.ratios.length === 0 ? [] : [ratioTable(summary)]),
    ...goalTable(summary),
  ].join("\n\n");
}

function runTable({ runs, processes }: Summary): string {
  const head = [
    "",
    "accepted/s",
    "completed/s",
    "submit p50 ms",
    "p99 ms",
    "end to end p50 ms",
    "p99 ms",
    "CPU ms/task",
    "peak MiB",
    "load generator's core",
  ];
  const rows = runs.map((run) => [
    `${titles[run.target]}${run.target === "fastify" ? "" : `, ${run.workflow}`}`,
    spread(run.accepted),
    run.completed === undefined ? "" : spread(run.completed),
    shown(run.submitP50Ms, 1),
    shown(run.submitP99Ms, 1),
    shown(run.steadyP50Ms, 1),
    shown(run.steadyP99Ms, 1),
    shown(run.cpuMsPerTask, 3),
    shown(peakOf(processes, run.target)),
    `${shown(run.loadCpuShare * 100)} %`,
  ]);
  return markdownTable(head, rows);
}

/** Of all processes of a target together, without database and broker. */
function peakOf(processes: Summary["processes"], target: TargetName): number {
  return processes.filter((one) => one.target === target && !one.isServer).reduce((sum, one) => sum + one.peakMib, 0);
}

function loopTable({ loops }: Summary): string {
  const rows = loops.map((loop) => [loop.what, spread(loop.perSecond), shown(loop.cpuMsPerItem, 3)]);
  return markdownTable(["Floor", "tasks or messages/s", "CPU ms each, client"], rows);
}

function engineTable({ engine }: Summary): string {
  const head = [
    "Engine",
    "tasks",
    "tasks/s",
    "items/s",
    "CPU ms/task",
    "waiting at once",
    "MiB before",
    "while they wait",
    "late p50 ms",
    "p99 ms",
  ];
  const rows = engine.map(({ product, workload, tasks, tasksPerSecond, itemsPerSecond, cpuMsPerTask, waiting }) => [
    `${titles[product]}, ${workload}`,
    shown(tasks),
    shown(tasksPerSecond, 1),
    shown(itemsPerSecond),
    shown(cpuMsPerTask, 3),
    shown(waiting?.tasks),
    shown(waiting?.idleMib),
    shown(waiting?.waitingMib),
    shown(waiting?.lateP50Ms),
    shown(waiting?.lateP99Ms),
  ]);
  return markdownTable(head, rows);
}

function processTable({ processes }: Summary): string {
  const rows = processes.map((one) => [
    `${titles[one.target]}: ${one.process}`,
    shown(one.peakMib),
    shown(one.cpuMsPerTask.echo, 3),
    shown(one.cpuMsPerTask.chain5, 3),
  ]);
  return markdownTable(["Process", "peak MiB", "CPU ms/task, echo", "chain5"], rows);
}

function ratioTable({ ratios }: Summary): string {
  const rows = ratios.map(({ product, workflow, ratio, cpuRatio, goal }) => [
    `${titles[product]} / floor, ${workflow}`,
    `${shown(ratio.median * 100)} % (${shown(ratio.min * 100)}–${shown(ratio.max * 100)})`,
    `${shown(cpuRatio * 100)} %`,
    `${shown(goal * 100)} %`,
    verdict(ratio.median >= goal),
  ]);
  return markdownTable(["Ratio of completed/s", "reached", "by CPU", "goal", ""], rows);
}

/** The absolute figures that are wished for on two cores: for information. */
function goalTable({ runs, processes }: Summary): readonly string[] {
  const rows = runs.flatMap((run) => {
    if (run.target !== "solo" && run.target !== "cluster") return [];
    const goal = goals[run.target];
    const name = `${titles[run.target]}, ${run.workflow}`;
    return [
      atLeast(`${name}: completed/s`, run.completed?.median, goal.completedPerSecond[run.workflow]),
      ...(run.workflow === "echo" ? limitsOf(run, peakOf(processes, run.target)) : []),
    ];
  });
  return rows.length === 0 ? [] : [markdownTable(["Goal (information)", "reached", "goal", ""], rows)];
}

function limitsOf(run: RunSummary, peakMib: number): string[][] {
  if (run.target !== "solo" && run.target !== "cluster") return [];
  const goal = goals[run.target];
  const name = titles[run.target];
  const rows: string[][] = [];
  if (run.steadyP50Ms !== undefined) rows.push(atMost(`${name}: end to end p50 ms`, run.steadyP50Ms, goal.steadyP50Ms));
  if (run.steadyP99Ms !== undefined) rows.push(atMost(`${name}: end to end p99 ms`, run.steadyP99Ms, goal.steadyP99Ms));
  if (goal.submitP99Ms !== undefined) rows.push(atMost(`${name}: submit p99 ms`, run.submitP99Ms, goal.submitP99Ms));
  if (goal.peakMib !== undefined) rows.push(atMost(`${name}: peak MiB`, peakMib, goal.peakMib));
  return rows;
}

function atLeast(name: string, value: number | undefined, goal: number): string[] {
  return [name, shown(value), `>= ${shown(goal)}`, value === undefined ? "" : verdict(value >= goal)];
}

function atMost(name: string, value: number, goal: number): string[] {
  return [name, shown(value, 1), `<= ${shown(goal)}`, verdict(value <= goal)];
}

function verdict(isReached: boolean): string {
  return isReached ? "PASS" : "FAIL";
}

function spread({ median, min, max }: Spread): string {
  return min === max ? shown(median) : `${shown(median)} (${shown(min)}–${shown(max)})`;
}
