import type { LoadCalls } from "./load/load-calls.ts";
import type { BenchOptions } from "./options.ts";
import { type Resources, readResources } from "./process/resources.ts";
import { startWorker } from "./process/start-worker.ts";
import type { StartTarget, Target } from "./targets/target.ts";
import { type WorkflowName, workflowNames } from "./workload.ts";

/** What one workflow did on one target in one round. */
export interface RunFigures {
  readonly workflow: WorkflowName;
  readonly acceptedPerSecond: number;
  /** Absent where nothing ends. */
  readonly completedPerSecond?: number;
  readonly submitP50Ms: number;
  readonly submitP99Ms: number;
  /** At the steady rate; absent when left out. */
  readonly steadyP50Ms?: number;
  readonly steadyP99Ms?: number;
  /** By process, from the first submit until the last task has ended. */
  readonly cpuMsPerTask: Readonly<Record<string, number>>;
  /** Of the load generator, as a share of one core while it submitted. */
  readonly loadCpuShare: number;
}

export interface TargetFigures {
  readonly runs: readonly RunFigures[];
  /** By process, over its whole life, in bytes. */
  readonly peakBytes: Readonly<Record<string, number>>;
  /** Processes that are database or broker. */
  readonly servers: readonly string[];
  /** What it complained of in its log. */
  readonly warnings: readonly string[];
}

/** Starts a target, measures the workflows asked for on it, checks every result, and stops it. */
export async function measureTarget(start: StartTarget, ends: boolean, options: BenchOptions): Promise<TargetFigures> {
  const target = await start(options.profile);
  const load = startWorker<LoadCalls>("load/load-worker");
  try {
    const base = target.url;
    if (ends) await load.call("define", { base });
    const ask = { base, inFlight: options.inFlight, ends };
    const wanted = workflowNames.filter((name) => options.workloads.includes(name));
    for (const workflow of wanted) {
      if (options.warmup > 0) await load.call("run", { ...ask, workflow, tasks: options.warmup });
    }
    const runs: RunFigures[] = [];
    // What is only accepted costs the same whatever would become of it.
    for (const workflow of ends ? wanted : wanted.slice(0, 1)) {
      const before = resourcesOf(target);
      const run = await load.call("run", { ...ask, workflow, tasks: options.tasks });
      const after = resourcesOf(target);
      const verified = ends ? await load.call("verify", { base }) : undefined;
      runs.push({
        workflow,
        acceptedPerSecond: run.acceptedPerSecond,
        ...(verified && { completedPerSecond: verified.completedPerSecond }),
        submitP50Ms: run.submitP50Ms,
        submitP99Ms: run.submitP99Ms,
        cpuMsPerTask: cpuPerTask(before, after, options.tasks),
        loadCpuShare: run.loadCpuMs / run.elapsedMs,
      });
    }
    const figures = ends && options.steadySeconds > 0 ? await addSteady(load, base, runs, options) : runs;
    const peaks = [...resourcesOf(target)].map(([name, { peakBytes }]) => [name, peakBytes] as const);
    return {
      runs: figures,
      peakBytes: Object.fromEntries(peaks),
      servers: target.processes.filter((one) => !one.isOurs).map((one) => one.name),
      warnings: target.warnings?.() ?? [],
    };
  } finally {
    await load.stop();
    await target.stop();
  }
}

async function addSteady(
  load: ReturnType<typeof startWorker<LoadCalls>>,
  base: string,
  runs: readonly RunFigures[],
  { steadyPerSecond, steadySeconds }: BenchOptions,
): Promise<readonly RunFigures[]> {
  const count = steadyPerSecond * steadySeconds;
  const done: RunFigures[] = [];
  for (const run of runs) {
    const { p50Ms, p99Ms } = await load.call("steady", { base, workflow: run.workflow, perSecond: steadyPerSecond, count });
    done.push({ ...run, steadyP50Ms: p50Ms, steadyP99Ms: p99Ms });
  }
  return done;
}

/** What the target's processes have used so far, by name. */
export function resourcesOf(target: Target): ReadonlyMap<string, Resources> {
  const found = new Map<string, Resources>();
  for (const { name, pid } of target.processes) {
    const resources = readResources(pid);
    if (resources !== undefined) found.set(name, resources);
  }
  return found;
}

export function cpuPerTask(
  before: ReadonlyMap<string, Resources>,
  after: ReadonlyMap<string, Resources>,
  tasks: number,
): Readonly<Record<string, number>> {
  return Object.fromEntries([...after].map(([name, { cpuMs }]) => [name, (cpuMs - (before.get(name)?.cpuMs ?? 0)) / tasks]));
}
