import { parseArgs } from "node:util";
import { type EngineWorkload, engineWorkloads } from "./engine-workload.ts";
import { type WorkflowName, workflowNames } from "./workload.ts";

/** What can be measured, in the order in which one round measures it. */
export const subjects = ["solo", "solo-floor", "cluster", "split-floor", "fastify", "sqlite", "mongodb", "jetstream"] as const;
export type Subject = (typeof subjects)[number];

const groups: Readonly<Record<string, readonly Subject[]>> = {
  floors: ["solo-floor", "split-floor", "fastify", "sqlite", "mongodb", "jetstream"],
  products: ["solo", "cluster"],
};

/** What a subject is measured with; those of the engine run on the products only, and once. */
export type Workload = WorkflowName | EngineWorkload;

const workloads: readonly Workload[] = [...workflowNames, ...engineWorkloads];

export interface BenchOptions {
  /** Per workflow, target and round. */
  readonly tasks: number;
  /** Before the clock runs, per workflow: the first thousands meet code that is not compiled yet. */
  readonly warmup: number;
  readonly inFlight: number;
  readonly rounds: number;
  readonly only: readonly Subject[];
  readonly workloads: readonly Workload[];
  /** How much of the engine's workloads is run: 100 for the tasks and items that their names say. */
  readonly enginePercent: number;
  /** How many of the timers of `wait-10000` come due in a second. */
  readonly timersPerSecond: number;
  readonly steadyPerSecond: number;
  /** Per workflow, target and round; 0 leaves it out. */
  readonly steadySeconds: number;
  /** Where the figures are written as JSON. */
  readonly json: string | undefined;
  /** Where every process leaves a CPU profile; profiling costs speed, so such figures compare with nothing. */
  readonly profile: string | undefined;
}

export const usage = `npm run bench -- [options]
  --tasks N            tasks per workflow, target and round (20000)
  --warmup N           uncounted tasks before that (3000)
  --rounds N           how often everything is measured, one after the other (3)
  --in-flight N        submits under way (64)
  --only LIST          of ${subjects.join(", ")}, floors, products
  --workloads LIST     of ${workloads.join(", ")} (all of them)
  --engine-percent N   share of the tasks and items of ${engineWorkloads.join(", ")} (100)
  --timer-rate N       timers of wait-10000 that come due in a second (500)
  --steady-rate N      submits per second of the steady load (50)
  --steady-seconds N   how long it lasts, 0 for none (10)
  --json FILE          where the figures go (.cache/bench.json)
  --profile DIR        CPU profiles of every process, and what cost most
`;

/** Throws an Error with one sentence for what can't be understood. */
export function readOptions(args: readonly string[]): BenchOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: text,
      warmup: text,
      rounds: text,
      "in-flight": text,
      only: text,
      workloads: text,
      "engine-percent": text,
      "timer-rate": text,
      "steady-rate": text,
      "steady-seconds": text,
      json: text,
      profile: text,
    },
  });
  return {
    tasks: wholeOf("tasks", values.tasks, 20_000, 1),
    warmup: wholeOf("warmup", values.warmup, 3_000, 0),
    rounds: wholeOf("rounds", values.rounds, 3, 1),
    inFlight: wholeOf("in-flight", values["in-flight"], 64, 1),
    only: subjectsOf(values.only),
    workloads: workloadsOf(values.workloads),
    enginePercent: wholeOf("engine-percent", values["engine-percent"], 100, 1),
    timersPerSecond: wholeOf("timer-rate", values["timer-rate"], 500, 1),
    steadyPerSecond: wholeOf("steady-rate", values["steady-rate"], 50, 1),
    steadySeconds: wholeOf("steady-seconds", values["steady-seconds"], 10, 0),
    json: values.json,
    profile: values.profile,
  };
}

function wholeOf(name: string, text: string | undefined, or: number, min: number): number {
  if (text === undefined) return or;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new Error(`--${name} takes a whole number of at least ${min}, not ${text}`);
  return value;
}

function subjectsOf(list: string | undefined): readonly Subject[] {
  if (list === undefined) return subjects;
  const wanted = new Set(
    list.split(",").flatMap((name) => {
      const found = groups[name] ?? subjects.filter((one) => one === name);
      if (found.length === 0) throw new Error(`--only knows ${subjects.join(", ")}, floors, products; not ${name}`);
      return found;
    }),
  );
  return subjects.filter((one) => wanted.has(one));
}

function workloadsOf(list: string | undefined): readonly Workload[] {
  if (list === undefined) return workloads;
  const wanted = list.split(",");
  for (const name of wanted) {
    if (!workloads.some((one) => one === name)) throw new Error(`--workloads knows ${workloads.join(", ")}; not ${name}`);
  }
  return workloads.filter((one) => wanted.includes(one));
}
