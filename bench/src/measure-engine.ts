import { type EngineWorkload, engineSizes } from "./engine-workload.ts";
import type { EngineCalls } from "./load/engine-calls.ts";
import { cpuPerTask, resourcesOf } from "./measure-target.ts";
import type { BenchOptions } from "./options.ts";
import { startWorker, type Worker } from "./process/start-worker.ts";
import type { StartTarget, Target } from "./targets/target.ts";

/** What one workload of the engine did on one product. */
export interface EngineFigures {
  readonly workload: EngineWorkload;
  readonly tasks: number;
  /** Absent for `wait-10000`, which takes as long as its timers. */
  readonly tasksPerSecond?: number;
  /** Of `foreach-1000`. */
  readonly itemsPerSecond?: number;
  /** Of `wait-10000`. */
  readonly waiting?: WaitFigures;
  /** By process, from the first submit until the last task has ended. */
  readonly cpuMsPerTask: Readonly<Record<string, number>>;
  /** Processes that are database or broker. */
  readonly servers: readonly string[];
  /** What the product complained of in its log. */
  readonly warnings: readonly string[];
}

export interface WaitFigures {
  /** Tasks that waited at the same time: all of them, unless the machine was too slow. */
  readonly tasks: number;
  /** Resident memory by process, in bytes: before the first task, and while they wait. */
  readonly idleBytes: Readonly<Record<string, number>>;
  readonly waitingBytes: Readonly<Record<string, number>>;
  readonly lateP50Ms: number;
  readonly lateP99Ms: number;
}

/** Time for all tasks together to come to their timers before the first of these comes due, and for each of the uncounted ones. */
const leadMs = 2_000;
const warmLeadMsPerTask = 5;
/** What is counted gets as much time per task as the uncounted took, times this. */
const leadFactor = 2;
/** Uncounted, before the clock runs: code that is not compiled yet is slow. */
const warm = { lists: 2, codeTasks: 100, waitTasks: 1_000 } as const;

/** Starts a target afresh, runs one workload on it, checks every result, and stops it. */
export async function measureEngine(start: StartTarget, workload: EngineWorkload, options: BenchOptions): Promise<EngineFigures> {
  const target = await start(options.profile);
  const load = startWorker<EngineCalls>("load/engine-worker");
  try {
    await load.call("define", { base: target.url, workload });
    return await measurements[workload](target, load, options);
  } finally {
    await load.stop();
    await target.stop();
  }
}

type Measure = (target: Target, load: Worker<EngineCalls>, options: BenchOptions) => Promise<EngineFigures>;

const measurements: Readonly<Record<EngineWorkload, Measure>> = {
  async "foreach-1000"(target, load, options) {
    const ask = { base: target.url, items: shareOf(engineSizes.items, options) };
    const tasks = engineSizes.lists;
    await load.call("lists", { ...ask, tasks: warm.lists });
    const before = resourcesOf(target);
    const { tasksPerSecond } = await load.call("lists", { ...ask, tasks });
    const spent = spentBy(target, before, tasks);
    return { workload: "foreach-1000", tasks, tasksPerSecond, itemsPerSecond: tasksPerSecond * ask.items, ...spent };
  },
  async code(target, load, options) {
    const tasks = shareOf(engineSizes.codeTasks, options);
    const ask = { base: target.url, inFlight: options.inFlight };
    await load.call("code", { ...ask, tasks: shareOf(warm.codeTasks, options) });
    const before = resourcesOf(target);
    const { tasksPerSecond } = await load.call("code", { ...ask, tasks });
    return { workload: "code", tasks, tasksPerSecond, ...spentBy(target, before, tasks) };
  },
  async "wait-10000"(target, load, options) {
    const tasks = shareOf(engineSizes.waitTasks, options);
    const base = target.url;
    const ask = { base, inFlight: options.inFlight, perSecond: options.timersPerSecond };
    const uncounted = shareOf(warm.waitTasks, options);
    const warmLeadMs = leadMs + warmLeadMsPerTask * uncounted;
    const { tookMs } = await load.call("wait", { ...ask, tasks: uncounted, leadMs: warmLeadMs });
    await load.call("woken", { base });
    const before = resourcesOf(target);
    const ownLeadMs = leadMs + ((tookMs * tasks) / uncounted) * leadFactor;
    const { waiting } = await load.call("wait", { ...ask, tasks, leadMs: Math.round(ownLeadMs) });
    const meanwhile = resourcesOf(target);
    const late = await load.call("woken", { base });
    const memory = { idleBytes: residentBytes(before), waitingBytes: residentBytes(meanwhile) };
    return { workload: "wait-10000", tasks, waiting: { tasks: waiting, ...memory, ...late }, ...spentBy(target, before, tasks) };
  },
};

function shareOf(full: number, { enginePercent }: BenchOptions): number {
  return Math.max(1, Math.round((full * enginePercent) / 100));
}

function spentBy(
  target: Target,
  before: ReturnType<typeof resourcesOf>,
  tasks: number,
): Pick<EngineFigures, "cpuMsPerTask" | "servers" | "warnings"> {
  const servers = target.processes.filter((one) => !one.isOurs).map((one) => one.name);
  return { cpuMsPerTask: cpuPerTask(before, resourcesOf(target), tasks), servers, warnings: target.warnings?.() ?? [] };
}

function residentBytes(resources: ReturnType<typeof resourcesOf>): Readonly<Record<string, number>> {
  return Object.fromEntries([...resources].map(([name, one]) => [name, one.residentBytes]));
}
