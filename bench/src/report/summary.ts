import type { EngineFigures } from "../measure-engine.ts";
import type { RunFigures } from "../measure-target.ts";
import type { Product, Round, TargetName } from "../run-bench.ts";
import { type WorkflowName, workflowNames } from "../workload.ts";
import { floorOf, goals } from "./goals.ts";
import { median, type Spread, spreadOf } from "./stats.ts";

/** One workflow on one target: medians of the rounds. */
export interface RunSummary {
  readonly target: TargetName;
  readonly workflow: WorkflowName;
  readonly accepted: Spread;
  readonly completed: Spread | undefined;
  readonly submitP50Ms: number;
  readonly submitP99Ms: number;
  readonly steadyP50Ms: number | undefined;
  readonly steadyP99Ms: number | undefined;
  /** Of our processes, without database and broker. */
  readonly cpuMsPerTask: number;
  readonly loadCpuShare: number;
}

export interface ProcessSummary {
  readonly target: TargetName;
  readonly process: string;
  readonly isServer: boolean;
  /** The most of all rounds. */
  readonly peakMib: number;
  readonly cpuMsPerTask: { readonly [K in WorkflowName]?: number };
}

export interface LoopSummary {
  readonly what: string;
  readonly perSecond: Spread;
  readonly cpuMsPerItem: number;
}

/** One workload of the engine on one product; sums are of our processes, without database and broker. */
export interface EngineSummary extends Pick<EngineFigures, "workload" | "tasks" | "tasksPerSecond" | "itemsPerSecond"> {
  readonly product: Product;
  readonly cpuMsPerTask: number;
  readonly waiting?: {
    readonly tasks: number;
    readonly idleMib: number;
    readonly waitingMib: number;
    readonly lateP50Ms: number;
    readonly lateP99Ms: number;
  };
}

/** Completed per second of a product, as a share of its floor's in the same round. */
export interface RatioSummary {
  readonly product: Product;
  readonly workflow: WorkflowName;
  readonly ratio: Spread;
  /** CPU per task of the floor as a share of the product's, database and broker included: what other load on the machine disturbs least. */
  readonly cpuRatio: number;
  readonly goal: number;
}

export interface Summary {
  readonly runs: readonly RunSummary[];
  readonly processes: readonly ProcessSummary[];
  readonly loops: readonly LoopSummary[];
  readonly ratios: readonly RatioSummary[];
  readonly engine: readonly EngineSummary[];
}

const products: readonly Product[] = ["solo", "cluster"];
const targetNames: readonly TargetName[] = ["solo", "solo-floor", "cluster", "split-floor", "fastify"];

/** Medians and spreads of what the rounds measured. */
export function summarise(rounds: readonly Round[]): Summary {
  return {
    runs: targetNames.flatMap((target) => workflowNames.flatMap((workflow) => runSummary(rounds, target, workflow) ?? [])),
    processes: targetNames.flatMap((target) => processSummaries(rounds, target)),
    loops: loopSummaries(rounds),
    ratios: products.flatMap((product) => workflowNames.flatMap((workflow) => ratioSummary(rounds, product, workflow) ?? [])),
    engine: products.flatMap((product) =>
      rounds.flatMap((round) => round.engine[product] ?? []).map((figures) => engineSummary(product, figures)),
    ),
  };
}

function runsOf(rounds: readonly Round[], target: TargetName, workflow: WorkflowName): readonly RunFigures[] {
  return rounds.flatMap((round) => round.targets[target]?.runs.filter((run) => run.workflow === workflow) ?? []);
}

function runSummary(rounds: readonly Round[], target: TargetName, workflow: WorkflowName): RunSummary | undefined {
  const runs = runsOf(rounds, target, workflow);
  if (runs.length === 0) return undefined;
  const servers = new Set(rounds.flatMap((round) => round.targets[target]?.servers ?? []));
  const middle = (pick: (run: RunFigures) => number | undefined): number | undefined => {
    const values = runs.flatMap((run) => pick(run) ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const completed = runs.flatMap((run) => run.completedPerSecond ?? []);
  return {
    target,
    workflow,
    accepted: spreadOf(runs.map((run) => run.acceptedPerSecond)),
    completed: completed.length === 0 ? undefined : spreadOf(completed),
    submitP50Ms: median(runs.map((run) => run.submitP50Ms)),
    submitP99Ms: median(runs.map((run) => run.submitP99Ms)),
    steadyP50Ms: middle((run) => run.steadyP50Ms),
    steadyP99Ms: middle((run) => run.steadyP99Ms),
    cpuMsPerTask: median(runs.map((run) => sumOf(Object.entries(run.cpuMsPerTask).filter(([name]) => !servers.has(name))))),
    loadCpuShare: median(runs.map((run) => run.loadCpuShare)),
  };
}

function sumOf(entries: readonly (readonly [string, number])[]): number {
  return entries.reduce((sum, [, value]) => sum + value, 0);
}

function processSummaries(rounds: readonly Round[], target: TargetName): readonly ProcessSummary[] {
  const found = rounds.flatMap((round) => round.targets[target] ?? []);
  const names = Object.keys(found[0]?.peakBytes ?? {});
  return names.map((process) => ({
    target,
    process,
    isServer: found[0]?.servers.includes(process) ?? false,
    peakMib: Math.max(...found.map((one) => (one.peakBytes[process] ?? 0) / 1_048_576)),
    cpuMsPerTask: Object.fromEntries(
      workflowNames.flatMap((workflow) => {
        const values = runsOf(rounds, target, workflow).flatMap((run) => run.cpuMsPerTask[process] ?? []);
        return values.length === 0 ? [] : [[workflow, median(values)]];
      }),
    ),
  }));
}

function loopSummaries(rounds: readonly Round[]): readonly LoopSummary[] {
  const all = rounds.flatMap((round) => round.loops);
  return [...new Set(all.map((loop) => loop.what))].map((what) => {
    const mine = all.filter((loop) => loop.what === what);
    return {
      what,
      perSecond: spreadOf(mine.map((one) => one.perSecond)),
      cpuMsPerItem: median(mine.map((one) => one.cpuMsPerItem)),
    };
  });
}

/** A round's product and floor ran one after the other, so each round has a ratio of its own. */
function ratioSummary(rounds: readonly Round[], product: Product, workflow: WorkflowName): RatioSummary | undefined {
  const ratios = rounds.flatMap((round) => {
    const [mine] = runsOf([round], product, workflow);
    const [floor] = runsOf([round], floorOf[product], workflow);
    if (mine?.completedPerSecond === undefined || floor?.completedPerSecond === undefined) return [];
    const cpu = sumOf(Object.entries(floor.cpuMsPerTask)) / sumOf(Object.entries(mine.cpuMsPerTask));
    return [{ completed: mine.completedPerSecond / floor.completedPerSecond, cpu }];
  });
  if (ratios.length === 0) return undefined;
  const ratio = spreadOf(ratios.map((one) => one.completed));
  return { product, workflow, ratio, cpuRatio: median(ratios.map((one) => one.cpu)), goal: goals[product].ratio };
}

function engineSummary(product: Product, figures: EngineFigures): EngineSummary {
  const { workload, tasks, tasksPerSecond, itemsPerSecond, cpuMsPerTask, servers, waiting } = figures;
  const oursOf = (byProcess: Readonly<Record<string, number>>): number =>
    sumOf(Object.entries(byProcess).filter(([name]) => !servers.includes(name)));
  return {
    product,
    workload,
    tasks,
    ...(tasksPerSecond !== undefined && { tasksPerSecond }),
    ...(itemsPerSecond !== undefined && { itemsPerSecond }),
    cpuMsPerTask: oursOf(cpuMsPerTask),
    ...(waiting && {
      waiting: {
        tasks: waiting.tasks,
        idleMib: oursOf(waiting.idleBytes) / 1_048_576,
        waitingMib: oursOf(waiting.waitingBytes) / 1_048_576,
        lateP50Ms: waiting.lateP50Ms,
        lateP99Ms: waiting.lateP99Ms,
      },
    }),
  };
}
