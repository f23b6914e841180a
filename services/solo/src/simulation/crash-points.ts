import { type Failure, isEnded, type NodeRun, type Payload, type Task } from "@longhaul/core";
import { IntakeService } from "@longhaul/proto/intake_service";
import { TaskState } from "@longhaul/proto/task";
import { TaskService } from "@longhaul/proto/task_service";
import { projectHeader } from "@longhaul/shared";
import { faultsOf } from "./faults.ts";
import { type SimulatedCluster, simulatedCluster } from "./simulated-cluster.ts";
import { answerAsk, putWorkflows } from "./simulated-people.ts";
import { type SimulatedProcess, type SimulatedTime, seededRandom, simulateTime } from "./simulated-time.ts";
import { endless, tour } from "./simulated-workflows.ts";

/** One place where a process can die: the nth crossing, told before it is carried out or before its answer is heard. */
export interface CrashPoint {
  readonly at: number;
  readonly process: string;
  readonly crossing: string;
  readonly side: "before" | "after";
}

/** What a run came to, as far as it must not depend on who died: everything but times and attempts. */
export interface RunEnd {
  readonly points: readonly CrashPoint[];
  /** Promises that were broken on the way. */
  readonly broken: readonly string[];
  readonly tasks: readonly TaskEnd[];
  /** Operation keys of each place that called the outside. */
  readonly operations: readonly (readonly [place: string, keys: readonly string[]])[];
  /** How often the outside was called under each operation key. */
  readonly calls: ReadonlyMap<string, number>;
  readonly webhooks: readonly (readonly [id: string, bodies: number])[];
}

interface TaskEnd {
  readonly id: string;
  readonly workflow: string;
  readonly state: Task["state"];
  readonly endings: number | undefined;
  readonly output: Payload | undefined;
  readonly error: Failure | undefined;
  readonly parent: Task["parent"];
  readonly children: readonly string[];
  readonly delivery: string | undefined;
  readonly runs: readonly ReturnType<typeof runOf>[];
}

const project = "red";
const tourId = "01930000-0000-7000-8000-000000000001";
const doomedId = "01930000-0000-7000-8000-000000000002";
const n = 21;
const startMs = Date.parse("2026-01-01T00:00:00Z");
/** Dead processes are back after this. */
const backMs = 1_500;
const patienceMs = 600_000;

/**
 * Runs a workflow that goes through everything a task can wait for, and one that is cancelled in the middle, in a quiet world of one seed. With
 * `crashAt` the process that makes that crossing dies there, and another takes its place; up to there it is the same run as without.
 */
export async function runWithCrash(crashAt?: number): Promise<RunEnd> {
  const random = seededRandom(7);
  const time = simulateTime(startMs, random);
  try {
    const faults = faultsOf(time, random, () => {});
    const cluster = simulatedCluster(faults, "none");
    const broken: string[] = [];
    await putWorkflows(time, cluster, [project], broken);
    await time.pass(2_000);

    const points: CrashPoint[] = [];
    const memberOf = (process: SimulatedProcess) => cluster.members.find((one) => one.process === process);
    faults.onCrossing = (process, crossing, side) => {
      const member = memberOf(process);
      if (member === undefined) return;
      const at = points.length;
      points.push({ at, process: process.name, crossing, side });
      if (at === crashAt) cluster.crash(member, backMs);
    };
    let asking = 0;
    const ask = (done: Promise<void>): void => {
      asking++;
      void done.finally(() => asking--);
    };
    const webhook = { url: "https://receiver.test/hook", secret: "secret" };
    const isTourAccepted = submit(time, cluster, tourId, tour.name, { webhook }, broken);
    for (const one of tour.asks ?? [])
      ask(isTourAccepted.then(() => answerAsk(time, cluster, { project, id: tourId, ask: one }, broken)));
    const isDoomedAccepted = submit(time, cluster, doomedId, endless[1]?.name ?? "", {}, broken);
    ask(isDoomedAccepted.then(() => cancelOnceWaiting(time, cluster, doomedId)));

    const isOver = (task: Task): boolean =>
      isEnded(task) && task.owes.length === 0 && (task.webhook === undefined || task.delivery?.state === "delivered");
    const isDone = (): boolean => asking === 0 && cluster.log.tasks.size > 2 && [...cluster.log.tasks.values()].every(isOver);
    if (!(await time.passUntil(isDone, patienceMs))) {
      const left = [...cluster.log.tasks.values()].filter((task) => !isOver(task));
      broken.push(
        `after ${patienceMs} ms not over: ${left.map(({ id, workflow, state }) => `${workflow} ${id} ${state}`).join(", ")}`,
      );
    }
    faults.onCrossing = () => {};
    // Nothing comes after the end: no second message, no late call.
    await time.pass(5_000);
    broken.push(...cluster.log.broken, ...cluster.broken, ...cluster.outside.broken);
    return await endOf(cluster, points, broken);
  } finally {
    time.end();
  }
}

async function endOf(cluster: SimulatedCluster, points: readonly CrashPoint[], broken: readonly string[]): Promise<RunEnd> {
  const { outside, stores, log } = cluster;
  const tasks = await Promise.all(
    [...log.tasks.values()].map(async (task): Promise<TaskEnd> => {
      const runs = await stores.tasks.listNodeRuns({ project, id: task.id }, 1_000);
      const children = await stores.tasks.listChildren(project, task.id, 100);
      return {
        id: task.id,
        workflow: task.workflow,
        state: task.state,
        endings: log.endings.get(task.id),
        output: "output" in task ? task.output : undefined,
        error: "error" in task ? task.error : undefined,
        parent: task.parent,
        children: children.map((child) => child.task.id).sort(),
        delivery: task.delivery?.state,
        // What was going on when a task was cancelled is not part of its outcome.
        runs: task.state === "cancelled" ? [] : runs.map(runOf).sort((a, b) => (a.path < b.path ? -1 : 1)),
      };
    }),
  );
  return {
    points,
    broken,
    tasks: tasks.sort((a, b) => (a.id < b.id ? -1 : 1)),
    operations: [...outside.effects].map(([place, keys]) => [place, [...keys]] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    calls: outside.calls,
    webhooks: [...outside.received].map(([id, bodies]) => [id, new Set(bodies).size] as const),
  };
}

function runOf({ path, kind, state, output, error, childId }: NodeRun) {
  return { path, kind, state, output, code: error?.code, childId };
}

async function submit(
  time: SimulatedTime,
  cluster: SimulatedCluster,
  id: string,
  workflow: string,
  more: { readonly webhook?: { readonly url: string; readonly secret: string } },
  broken: string[],
): Promise<void> {
  const client = cluster.client(IntakeService);
  const item = { id, project, workflow, inputJson: Buffer.from(JSON.stringify({ n })), idempotencyKey: "", ...more };
  for (;;) {
    const result = await client.submitMany({ items: [item] }).then(
      ({ results }) => results[0]?.result,
      () => undefined,
    );
    if (result?.case === "accepted" || result?.case === "replayed") return;
    if (result?.case === "refused" && !["unavailable", "deadline_exceeded"].includes(result.value.code)) {
      broken.push(`${workflow} was refused: ${result.value.code} ${result.value.message}`);
      return;
    }
    await time.wait(300);
  }
}

/** Cancels a task once it waits for something, and so does everything below it. */
async function cancelOnceWaiting(time: SimulatedTime, cluster: SimulatedCluster, id: string): Promise<void> {
  const client = cluster.client(TaskService);
  const headers = { [projectHeader]: project };
  const isAsked = async (): Promise<boolean> => {
    const { task } = await client.get({ id }, { headers });
    if (task?.state === TaskState.CANCELLED) return true;
    const below = await cluster.stores.tasks.listChildren(project, id, 10);
    if (task?.state !== TaskState.WAITING || !below.some((child) => child.task.state === "waiting")) return false;
    await client.cancel({ id, reason: "no longer needed" }, { headers });
    return true;
  };
  while (!(await isAsked().catch(() => false))) await time.wait(300);
}
