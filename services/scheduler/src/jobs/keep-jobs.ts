import { isEnded, type Job, type JobEvent, LonghaulError } from "@longhaul/core";
import { JobVerdict } from "@longhaul/proto/worker_service";
import { changeJob } from "./change-job.ts";
import { lostJob, noSuchJob } from "./end-job.ts";
import type { JobDeps } from "./jobs.ts";

/** A lease of a job, as its worker names it. */
export interface JobLease {
  readonly project: string;
  readonly id: string;
  readonly fence: number;
}

/** Extends leases; for each, whether its worker is to go on. */
export function keepJobs(deps: JobDeps, leases: readonly JobLease[]): Promise<readonly JobVerdict[]> {
  return decideAll(deps, leases, "heartbeat");
}

/** Gives jobs back; `continue` for each that was. */
export function releaseJobs(deps: JobDeps, leases: readonly JobLease[]): Promise<readonly JobVerdict[]> {
  return decideAll(deps, leases, "release");
}

async function decideAll(
  deps: JobDeps,
  leases: readonly JobLease[],
  kind: "heartbeat" | "release",
): Promise<readonly JobVerdict[]> {
  const found = await deps.jobs.get(leases);
  const tasks = await deps.store.get(found.flatMap((one) => (one === undefined ? [] : [taskKeyOf(one.job)])));
  const live = new Set(tasks.flatMap((one) => (one === undefined || isEnded(one.task) ? [] : [one.task.id])));
  return Promise.all(
    leases.map(async (lease, at) => {
      const known = found[at];
      // It was removed: its task has ended, or the node's time is up.
      if (known === undefined) return JobVerdict.CANCELLED;
      if (!live.has(known.job.taskId)) {
        await deps.jobs.remove(known.job, known.rev);
        return JobVerdict.CANCELLED;
      }
      const change = await changeJob(deps, lease, { kind, fence: lease.fence }, known);
      if (change === undefined) return JobVerdict.CANCELLED;
      // A worker that has its hands full asks for nothing, and serves the function all the same.
      if (kind === "heartbeat") deps.seenFunctions.note(lease.project, known.job.function);
      if (change.decision.kind === "store") return JobVerdict.CONTINUE;
      return change.decision.kind === "refuse" && change.decision.why === "over" ? JobVerdict.CANCELLED : JobVerdict.LOST;
    }),
  );
}

function taskKeyOf({ project, taskId: id }: Job): { readonly project: string; readonly id: string } {
  return { project, id };
}

/** Extends leases, and waits until one of the jobs is to be stopped or `waitMs` are over. */
export async function keepJobsWaiting(
  deps: JobDeps,
  project: string,
  leases: readonly JobLease[],
  waitMs: number,
  signal: AbortSignal,
): Promise<readonly JobVerdict[]> {
  const until = performance.now() + waitMs;
  const bell = deps.jobBells.listen(project, { jobs: leases.map(({ id }) => id) });
  try {
    await bell.ready;
    for (;;) {
      const verdicts = await keepJobs(deps, leases);
      const left = until - performance.now();
      if (left <= 0 || bell.closed || signal.aborted || verdicts.some((verdict) => verdict !== JobVerdict.CONTINUE))
        return verdicts;
      await bell.wait(left, signal);
      if (performance.now() >= until) return verdicts;
    }
  } finally {
    bell.close();
  }
}

/** The job of a lease. Throws `not_found` and `conflict`. */
export async function leasedJob(deps: JobDeps, lease: JobLease): Promise<Job> {
  const [found] = await deps.jobs.get([lease]);
  if (found === undefined) throw noSuchJob(lease.id);
  if (found.job.state !== "leased" || found.job.fence !== lease.fence) throw lostJob(found.job);
  return found.job;
}

/** Adds lines to the log of a job. Throws as `leasedJob`. */
export async function logLines(deps: JobDeps, lease: JobLease, lines: readonly string[]): Promise<void> {
  const job = await leasedJob(deps, lease);
  if (job.withheld) return;
  const event: JobEvent = { kind: "log", fence: lease.fence, lines };
  const change = await changeJob(deps, lease, event);
  if (change === undefined || (change.decision.kind === "refuse" && change.decision.why === "over")) throw noSuchJob(lease.id);
  if (change.decision.kind === "refuse") throw lostJob(change.found.job);
}

/** Longest wait of one call. */
export const longestWaitMs = 60_000;

/** A number that a worker sent as a fence. Throws `invalid_argument`. */
export function fenceOf(fence: bigint): number {
  if (fence < 0n || fence > 2n ** 53n - 1n) {
    const message = "The fence is the number that came with the job.";
    throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/fence", message }] });
  }
  return Number(fence);
}
