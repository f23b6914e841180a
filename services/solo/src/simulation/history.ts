import { createHash } from "node:crypto";
import { isEnded, type Task } from "@longhaul/core";
import { IntakeService, type SubmitResult } from "@longhaul/proto/intake_service";
import { TaskState } from "@longhaul/proto/task";
import { TaskService } from "@longhaul/proto/task_service";
import { projectHeader } from "@longhaul/shared";
import { type Faults, faultsOf, quietRates } from "./faults.ts";
import { concurrency, type SimulatedCluster, simulatedCluster } from "./simulated-cluster.ts";
import { answerAsk, putWorkflows } from "./simulated-people.ts";
import { type SimulatedTime, seededRandom, simulateTime } from "./simulated-time.ts";
import { type Ask, chosenWorkflows, type SimulatedWorkflow } from "./simulated-workflows.ts";
import type { Sabotage } from "./watched-store.ts";

/** What became of one history. */
export interface HistoryEnd {
  /** Every promise that was broken; empty when all is well. */
  readonly broken: readonly string[];
  /** Hash of everything that happened: equal for two runs of one seed. */
  readonly digest: string;
  readonly tasks: number;
  readonly crashes: number;
}

const startMs = Date.parse("2026-01-01T00:00:00Z");
const chaosMs = 30_000;
/** How long after the last fault everything may take to end: the longest pauses between attempts are a minute. */
const patienceMs = 1_800_000;
/** Where something is broken on purpose it is not waited for as long. */
const sabotagedPatienceMs = 90_000;
const projects = ["red", "blue"];

interface Wanted {
  readonly id: string;
  readonly project: string;
  readonly workflow: SimulatedWorkflow;
  readonly n: number;
  readonly key: string;
  readonly withWebhook: boolean;
  /** Ids that were answered for it; one, however often it was asked for. */
  readonly answered: Set<string>;
  /** How many askings are not answered yet. */
  asking: number;
  isCancelAsked: boolean;
  isCancelled: boolean;
}

/** Runs one random history, from a quiet start through chaos to a quiet end, and says which promises were broken. */
export async function runHistory(seed: number, sabotage: Sabotage = "none"): Promise<HistoryEnd> {
  const random = seededRandom(seed);
  const time = simulateTime(startMs, random);
  const hash = createHash("sha256");
  try {
    const faults = faultsOf(time, random, (line) => void hash.update(`${line}\n`));
    const end = await live(
      seed,
      faults,
      simulatedCluster(faults, sabotage),
      sabotage === "none" ? patienceMs : sabotagedPatienceMs,
    );
    return { ...end, digest: hash.digest("hex") };
  } finally {
    time.end();
  }
}

async function live(
  seed: number,
  faults: Faults,
  cluster: SimulatedCluster,
  longestMs: number,
): Promise<Omit<HistoryEnd, "digest">> {
  const { time, random } = faults;
  const broken: string[] = [];
  const between = (from: number, to: number): number => from + random() * (to - from);
  const chance = (p: number): boolean => random() < p;

  await putWorkflows(time, cluster, projects, broken);

  // Chaos of a strength that differs from history to history.
  const strength = between(0, 1);
  faults.rates = { before: 0.06 * strength, after: 0.06 * strength, slow: 0.05 * strength, twice: 0.05 * strength };
  cluster.broker.rates = { lost: 0.15 * strength, twice: 0.1 * strength };
  cluster.outside.rate = 0.25 * strength;

  const wanted = Array.from({ length: 20 + Math.floor(random() * 31) }, (_, i): Wanted => {
    const workflow = chosenWorkflows[Math.floor(random() * chosenWorkflows.length)];
    if (workflow === undefined) throw new Error("no workflow");
    const serial = (seed * 1_000 + i).toString(16).padStart(12, "0");
    return {
      id: `01930000-0000-7000-8000-${serial}`,
      project: projects[Math.floor(random() * projects.length)] ?? "red",
      workflow,
      n: Math.floor(random() * 1_000),
      key: chance(0.2) ? `key-${i}` : "",
      withWebhook: chance(0.4),
      answered: new Set(),
      asking: 0,
      isCancelAsked: false,
      isCancelled: false,
    };
  });
  for (const one of wanted) {
    const racers = one.key === "" ? 1 : 1 + Math.floor(random() * 3);
    const at = between(0, chaosMs * 0.6);
    for (let i = 0; i < racers; i++) time.later(at + i * 3, () => void submit(time, cluster, one, broken));
    for (const ask of one.workflow.asks ?? []) {
      time.later(at + between(0, 10_000), () => void answerWhenAccepted(time, cluster, one, ask, broken));
    }
    if (chance(0.1)) time.later(at + between(0, 5_000), () => void cancel(time, cluster, one, broken));
  }

  let crashes = 0;
  const someone = () => cluster.members[Math.floor(random() * cluster.members.length)];
  for (let at = 1_000; at < chaosMs; at += between(1_000, 10_000 - 7_000 * strength)) {
    time.later(at, () => {
      const member = someone();
      const kind = random();
      if (member === undefined || member.process.dead) return;
      crashes++;
      if (kind < 0.5) cluster.crash(member, between(100, 6_000));
      else if (kind < 0.7) cluster.freeze(member, between(500, 25_000));
      else if (kind < 0.85) cluster.restart(member);
      else cluster.broker.wipe();
    });
  }
  await time.pass(chaosMs);

  faults.rates = quietRates;
  cluster.broker.rates = { lost: 0, twice: 0 };
  cluster.outside.rate = 0;
  const isDone = (): boolean =>
    wanted.every((one) => one.asking === 0 && isSettled(cluster, one)) && [...cluster.log.tasks.values()].every(isOver);
  if (!(await time.passUntil(isDone, longestMs))) broken.push(`${longestMs} ms after the last fault not everything had ended`);
  // Those who are dead or frozen come back, and the leases of the partitions find their places.
  const isUp = (): boolean => cluster.members.every(({ process }) => !process.dead && process.frozenUntil <= time.now());
  await time.passUntil(isUp, 60_000);
  await time.pass(12_000);

  for (const one of wanted) await check(cluster, one, broken);
  for (const task of cluster.log.tasks.values()) checkChild(cluster, task, broken);
  await checkRoom(time, cluster, broken, seed);
  for (const project of projects)
    for (const { resource } of await cluster.stores.resources.list(project, "slots", 100))
      if (!resource.json.includes('"held":[]'))
        broken.push(`slots of ${project} ${resource.name} are held by nobody: ${resource.json}`);
  broken.push(...cluster.log.broken, ...cluster.broken, ...cluster.outside.broken);
  return { broken, tasks: wanted.length, crashes };
}

/** As the gateway does: the same item again until it is answered. */
async function submit(time: SimulatedTime, cluster: SimulatedCluster, one: Wanted, broken: string[]): Promise<void> {
  one.asking++;
  const client = cluster.client(IntakeService);
  for (;;) {
    const result = await client
      .submitMany({
        items: [
          {
            id: one.id,
            project: one.project,
            workflow: one.workflow.name,
            inputJson: Buffer.from(JSON.stringify({ n: one.n })),
            idempotencyKey: one.key,
            bodyHash: Buffer.from(one.key === "" ? "" : "body"),
            ...(one.withWebhook && { webhook: { url: "https://receiver.test/hook", secret: "secret" } }),
          },
        ],
      })
      .then(({ results }): SubmitResult["result"] | undefined => results[0]?.result)
      .catch(() => undefined);
    if (result?.case === "accepted" || result?.case === "replayed") {
      one.answered.add(result.value.id);
      one.asking--;
      return;
    }
    if (result?.case === "refused" && result.value.code !== "unavailable" && result.value.code !== "deadline_exceeded") {
      broken.push(`a submit was refused: ${result.value.code} ${result.value.message}`);
      one.asking--;
      return;
    }
    await time.wait(300);
  }
}

async function cancel(time: SimulatedTime, cluster: SimulatedCluster, one: Wanted, broken: string[]): Promise<void> {
  one.isCancelAsked = true;
  one.asking++;
  const client = cluster.client(TaskService);
  while (one.answered.size === 0) await time.wait(200);
  const [id = ""] = one.answered;
  for (;;) {
    const task = await client
      .cancel({ id, reason: "no longer needed" }, { headers: { [projectHeader]: one.project } })
      .then((answer) => answer.task)
      .catch(() => undefined);
    if (task !== undefined) {
      one.isCancelled = task.state === TaskState.CANCELLED;
      if (!one.isCancelled && task.state !== TaskState.SUCCEEDED)
        broken.push(`${id} was cancelled and is in state ${task.state}`);
      one.asking--;
      return;
    }
    await time.wait(200);
  }
}

async function answerWhenAccepted(
  time: SimulatedTime,
  cluster: SimulatedCluster,
  one: Wanted,
  ask: Ask,
  broken: string[],
): Promise<void> {
  one.asking++;
  while (one.answered.size === 0) await time.wait(200);
  const [id = ""] = one.answered;
  await answerAsk(time, cluster, { project: one.project, id, ask }, broken);
  one.asking--;
}

function taskOf(cluster: SimulatedCluster, one: Wanted): Task | undefined {
  const [id] = one.answered;
  return id === undefined ? undefined : cluster.log.tasks.get(id);
}

function isOver(task: Task): boolean {
  return isEnded(task) && task.owes.length === 0;
}

function isSettled(cluster: SimulatedCluster, one: Wanted): boolean {
  const task = taskOf(cluster, one);
  if (task === undefined || !isOver(task)) return false;
  return !one.withWebhook || task.delivery?.state === "delivered";
}

async function check(cluster: SimulatedCluster, one: Wanted, broken: string[]): Promise<void> {
  const { workflow, n } = one;
  const about = `${workflow.name}(${n}) ${[...one.answered].join(" and ")}`;
  const task = taskOf(cluster, one);
  if (one.answered.size !== 1 || task === undefined) {
    broken.push(`${about}: one key, ${one.answered.size} tasks`);
    return;
  }
  if ((cluster.log.endings.get(task.id) ?? 0) !== 1) broken.push(`${about} ended ${cluster.log.endings.get(task.id) ?? 0} times`);
  const right = JSON.stringify({ n: workflow.out(n) });
  if (task.state === "succeeded") {
    const output = task.output.kind === "inline" ? task.output.json : "";
    if (output !== right) broken.push(`${about} gave ${output} instead of ${right}`);
    if (one.isCancelled) broken.push(`${about} succeeded after it was cancelled`);
    for (const node of workflow.calls ?? []) {
      if (!cluster.outside.effects.has(`${task.id}/${node}`)) broken.push(`${about} succeeded, and ${node} was never called`);
    }
  } else if (task.state !== "cancelled" || !one.isCancelAsked) {
    broken.push(`${about} is ${task.state}: ${"error" in task ? JSON.stringify(task.error) : ""}`);
  }
  for (const [place, keys] of cluster.outside.effects) {
    if (place.startsWith(task.id) && keys.size !== 1) broken.push(`${place} was called under ${keys.size} operation keys`);
  }
  const deliveries = await cluster.stores.deliveries.listByTask(one.project, task.id, 10);
  const id = `${task.id}.task.${task.state}`;
  const posts = cluster.outside.received.get(id) ?? [];
  if (one.withWebhook) {
    if (deliveries.length !== 1 || deliveries[0]?.id !== id)
      broken.push(`${about} has the deliveries ${deliveries.map((d) => d.id).join()}`);
    if (posts.length === 0) broken.push(`${about}: its webhook never arrived`);
    if (new Set(posts).size > 1) broken.push(`${about}: its webhook arrived with different bodies`);
    if (task.state === "succeeded" && posts[0]?.includes(right) !== true)
      broken.push(`${about}: its webhook says something else`);
  } else if (deliveries.length > 0) broken.push(`${about} asked for no webhook and has one`);
}

/** A task that another one started is linked with it, and has ended as the other one must have seen it. */
function checkChild({ log }: SimulatedCluster, task: Task, broken: string[]): void {
  if (task.parent === undefined) return;
  const parent = log.tasks.get(task.parent.id);
  const about = `${task.workflow} ${task.id} of ${task.parent.id} ${task.parent.node}`;
  if (parent === undefined || parent.children !== true) broken.push(`${about} is not known to be its child`);
  else if (task.parent.awaited && parent.state === "succeeded" && task.state !== "succeeded")
    broken.push(`${about} is ${task.state}, and the other succeeded`);
  else if (!task.parent.awaited && task.state !== "succeeded") broken.push(`${about}, which nobody awaits, is ${task.state}`);
  if ((log.endings.get(task.id) ?? 0) !== 1) broken.push(`${about} ended ${log.endings.get(task.id) ?? 0} times`);
}

/** No slot has leaked anywhere: what comes now runs through at once, on every executor and partition, and all credit is there again. */
async function checkRoom(time: SimulatedTime, cluster: SimulatedCluster, broken: string[], seed: number): Promise<void> {
  const [echo] = chosenWorkflows;
  if (echo === undefined) return;
  const last = Array.from({ length: 12 }, (_, i): Wanted => {
    const serial = (seed * 1_000 + 900 + i).toString(16).padStart(12, "0");
    return {
      id: `01930000-0000-7000-8000-${serial}`,
      project: projects[i % projects.length] ?? "red",
      workflow: echo,
      n: i,
      key: "",
      withWebhook: false,
      answered: new Set(),
      asking: 0,
      isCancelAsked: false,
      isCancelled: false,
    };
  });
  const sentAt = time.now();
  for (const one of last) void submit(time, cluster, one, broken);
  const isThrough = await time.passUntil(() => last.every((one) => one.asking === 0 && isSettled(cluster, one)), 10_000);
  const tookMs = time.now() - sentAt;
  if (!isThrough || tookMs > 1_000) broken.push(`the last tasks took ${tookMs} ms: a slot has leaked`);
  await time.pass(3_000);
  for (const { process, runner } of cluster.members) {
    if (runner === undefined) continue;
    if (runner.held() !== 0) broken.push(`${process.name} still holds ${runner.held()} tasks`);
    const credit = cluster.broker.credit(process);
    if (credit !== concurrency) broken.push(`${process.name} may be given ${credit} tasks instead of ${concurrency}`);
  }
}
