import {
  decideJob,
  type JobDecision,
  type JobEvent,
  type JobKey,
  jobWakeAt,
  LonghaulError,
  type StoredJob,
} from "@longhaul/core";
import type { JobDeps } from "./jobs.ts";

/** Each round means that somebody else changed the same job at the same time. */
const maxRounds = 8;

type Deps = Pick<JobDeps, "jobs" | "jobRules" | "now" | "noteJob" | "jobBells">;

/** What was decided of a job, and is stored by now. `job` is how it was found. */
export interface JobChange {
  readonly found: StoredJob;
  readonly decision: JobDecision;
}

/** Decides about a stored job and stores the decision; undefined where there is no such job. */
export async function changeJob(deps: Deps, key: JobKey, event: JobEvent, known?: StoredJob): Promise<JobChange | undefined> {
  let found = known;
  for (let round = 0; round < maxRounds; round++) {
    found ??= (await deps.jobs.get([key]))[0];
    if (found === undefined) return undefined;
    const decision = decideJob(found.job, event, deps.now(), deps.jobRules);
    if (await isStored(deps, found, decision)) return { found, decision };
    found = undefined;
  }
  throw new LonghaulError("conflict", "The job kept changing; try again.");
}

async function isStored(deps: Deps, { job, rev }: StoredJob, decision: JobDecision): Promise<boolean> {
  switch (decision.kind) {
    case "refuse":
      return true;
    case "remove":
      return (await deps.jobs.remove(job, rev)) === "removed";
    case "give-up":
    case "store": {
      const { next } = decision;
      if ((await deps.jobs.replace(next, rev)) === "stale") return false;
      deps.noteJob(next.partition, jobWakeAt(next));
      if (next.state === "queued" && job.state !== "queued") deps.jobBells.queued(next.project, next.function);
      return true;
    }
  }
}
