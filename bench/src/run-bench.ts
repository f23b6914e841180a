import { engineWorkloads } from "./engine-workload.ts";
import { type EngineFigures, measureEngine } from "./measure-engine.ts";
import { measureTarget, type TargetFigures } from "./measure-target.ts";
import { type LoopFigures, measureJetstream, measureMongo, measureSqlite } from "./measure-writes.ts";
import type { BenchOptions, Subject } from "./options.ts";
import { startFastify, startSoloFloor, startSplitFloor } from "./targets/bare-targets.ts";
import { startCluster } from "./targets/cluster.ts";
import { startSolo } from "./targets/solo.ts";
import type { StartTarget } from "./targets/target.ts";
import { workflowNames } from "./workload.ts";

/** Subjects that take tasks over HTTP. */
export type TargetName = "solo" | "solo-floor" | "cluster" | "split-floor" | "fastify";

/** Subjects that are Longhaul itself. */
export type Product = "solo" | "cluster";

/** Everything that one round measured. */
export interface Round {
  readonly targets: { readonly [K in TargetName]?: TargetFigures };
  readonly loops: readonly LoopFigures[];
  /** Of the products, in the first round only: these runs are long, and what they measure is compared with no floor. */
  readonly engine: { readonly [K in Product]?: readonly EngineFigures[] };
}

const starts: { readonly [K in TargetName]: StartTarget } = {
  solo: startSolo,
  "solo-floor": startSoloFloor,
  cluster: startCluster,
  "split-floor": startSplitFloor,
  fastify: startFastify,
};

const loops: { readonly [K in Exclude<Subject, TargetName>]: (options: BenchOptions) => Promise<readonly LoopFigures[]> } = {
  sqlite: measureSqlite,
  mongodb: measureMongo,
  jetstream: measureJetstream,
};

/** Measures everything asked for, round after round, so that a noisy minute hits product and floor alike. */
export async function runBench(options: BenchOptions, say: (line: string) => void): Promise<readonly Round[]> {
  const rounds: Round[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    const targets: { [K in TargetName]?: TargetFigures } = {};
    const done: LoopFigures[] = [];
    const engine: { [K in Product]?: readonly EngineFigures[] } = {};
    for (const subject of options.only) {
      if (round === 1 && isProduct(subject)) engine[subject] = await runEngine(subject, options, say);
      if (!options.workloads.some((name) => workflowNames.some((one) => one === name))) continue;
      say(`round ${round} of ${options.rounds}: ${subject}`);
      if (isLoop(subject)) done.push(...(await loops[subject](options)));
      else {
        const figures = await measureTarget(starts[subject], subject !== "fastify", options);
        targets[subject] = figures;
        for (const line of figures.warnings.slice(0, maxWarnings)) say(`  ${line}`);
        for (const run of figures.runs) {
          const completed = run.completedPerSecond === undefined ? "" : `, ${Math.round(run.completedPerSecond)} completed/s`;
          say(`  ${run.workflow}: ${Math.round(run.acceptedPerSecond)} accepted/s${completed}`);
        }
      }
    }
    rounds.push({ targets, loops: done, engine });
  }
  return rounds;
}

async function runEngine(
  product: Product,
  options: BenchOptions,
  say: (line: string) => void,
): Promise<readonly EngineFigures[]> {
  const done: EngineFigures[] = [];
  for (const workload of engineWorkloads.filter((name) => options.workloads.includes(name))) {
    say(`${product}: ${workload}`);
    const figures = await measureEngine(starts[product], workload, options);
    done.push(figures);
    const { tasksPerSecond, waiting, warnings } = figures;
    for (const line of warnings.slice(0, maxWarnings)) say(`  ${line}`);
    if (tasksPerSecond !== undefined) say(`  ${tasksPerSecond.toFixed(1)} tasks/s`);
    if (waiting !== undefined) say(`  ${waiting.tasks} of ${figures.tasks} waited; p99 ${waiting.lateP99Ms} ms late`);
  }
  return done;
}

/** Of one target and round, on the screen; the JSON file has them all. */
const maxWarnings = 5;

function isProduct(subject: Subject): subject is Product {
  return subject === "solo" || subject === "cluster";
}

function isLoop(subject: Subject): subject is Exclude<Subject, TargetName> {
  return subject in loops;
}
