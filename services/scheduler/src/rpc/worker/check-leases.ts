import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { LonghaulError } from "@longhaul/core";
import { type JobHold, type JobStanding, JobStandingSchema, type JobVerdict } from "@longhaul/proto/worker_service";
import { newMessage } from "@longhaul/shared";
import { fenceOf, type JobLease, longestWaitMs } from "../../jobs/keep-jobs.ts";

const maxJobs = 1_000;

/** The leases that a worker names, each job once. Throws `invalid_argument`. */
export function leasesOf(project: string, holds: readonly JobHold[]): readonly JobLease[] {
  if (holds.length > maxJobs || holds.length === 0) throw wrong("/jobs", `Name 1 to ${maxJobs} jobs.`);
  const seen = new Set<string>();
  return holds.map(({ id, fence }, at) => {
    const lease = { project, id: id.toLowerCase(), fence: fenceOf(fence) };
    if (seen.has(lease.id)) throw wrong(`/jobs/${at}/id`, "The job is named twice.");
    seen.add(lease.id);
    return lease;
  });
}

/** What is said of each. */
export function standings(leases: readonly JobLease[], verdicts: readonly JobVerdict[]): JobStanding[] {
  return leases.map(({ id }, at) =>
    newMessage(JobStandingSchema, { id, ...(verdicts[at] === undefined ? {} : { verdict: verdicts[at] }) }),
  );
}

export function wrong(pointer: string, message: string): LonghaulError {
  return new LonghaulError("invalid_argument", message, { faults: [{ pointer, message }] });
}

/** How long a call is to wait, in milliseconds. */
export function waitOf(wait: Duration | undefined): number {
  return wait === undefined ? 0 : Math.max(0, Math.min(longestWaitMs, durationMs(wait)));
}
