import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isEnded, type LeasedJob, LonghaulError, type StoredJob } from "@longhaul/core";
import { type Job, JobSchema } from "@longhaul/proto/worker_service";
import { valueFromJson } from "@longhaul/shared";
import { openJson } from "../tasks/sealed-values.ts";
import { changeJob } from "./change-job.ts";
import type { JobDeps } from "./jobs.ts";
import { tellMs } from "./seen-functions.ts";

/** What a worker asks for. */
export interface PollFor {
  readonly project: string;
  readonly worker: string;
  readonly functions: readonly { readonly name: string; readonly capacity: number }[];
  readonly waitMs: number;
  /** Aborts when nobody listens any more. */
  readonly signal: AbortSignal;
}

/** Leases jobs to a worker, as soon as there are any; none when the wait is over. A job that nobody hears of any more is given back. */
export async function leaseJobs(deps: JobDeps, poll: PollFor): Promise<readonly Job[]> {
  const until = performance.now() + poll.waitMs;
  const bell = deps.jobBells.listen(poll.project, { functions: poll.functions.map(({ name }) => name) });
  try {
    await bell.ready;
    for (;;) {
      for (const { name } of poll.functions) deps.seenFunctions.note(poll.project, name);
      const leased = await leaseNow(deps, poll);
      if (poll.signal.aborted) {
        await Promise.all(leased.map((job) => changeJob(deps, job, { kind: "release", fence: job.fence })));
        return [];
      }
      if (leased.length > 0) return await Promise.all(leased.map((job) => jobMessage(deps, job)));
      const left = until - performance.now();
      if (left <= 0 || bell.closed) return [];
      // Now and then without a ring as well: the net behind the bells.
      await bell.wait(Math.min(left, tellMs), poll.signal);
    }
  } finally {
    bell.close();
  }
}

async function leaseNow(deps: JobDeps, { project, worker, functions }: PollFor): Promise<readonly LeasedJob[]> {
  const leased: LeasedJob[] = [];
  let bytes = 0;
  for (const { name, capacity } of functions) {
    let free = capacity;
    while (free > 0) {
      const found = await deps.jobs.listQueued(project, name, free);
      const before = free;
      for (const stored of await liveOnes(deps, found)) {
        const size = stored.job.input.kind === "stored" ? stored.job.input.bytes : stored.job.input.json.length;
        // One answer holds what one message may; the rest is asked for with the next.
        if (leased.length > 0 && bytes + size > deps.maxValueBytes) return leased;
        const change = await changeJob(deps, stored.job, { kind: "lease", worker }, stored);
        if (change?.decision.kind !== "store" || change.decision.next.state !== "leased") continue;
        leased.push(change.decision.next);
        bytes += size;
        free--;
      }
      // Where others were faster with every one of them there may be more behind.
      if (found.length === 0 || free < before) break;
    }
  }
  return leased;
}

/** Those whose task goes on. What ended tasks left behind is removed. */
async function liveOnes(deps: JobDeps, found: readonly StoredJob[]): Promise<readonly StoredJob[]> {
  if (found.length === 0) return [];
  const tasks = await deps.store.get(found.map(({ job }) => ({ project: job.project, id: job.taskId })));
  const live: StoredJob[] = [];
  for (const [at, stored] of found.entries()) {
    const task = tasks[at]?.task;
    if (task !== undefined && !isEnded(task) && stored.job.deadline > deps.now()) live.push(stored);
    else await deps.jobs.remove(stored.job, stored.rev);
  }
  return live;
}

async function jobMessage(deps: JobDeps, job: LeasedJob): Promise<Job> {
  const sealed = job.input.kind === "inline" ? job.input.json : (await deps.payloads.get([job.input.key]))[0];
  if (sealed === undefined) throw new LonghaulError("internal", "a stored value is missing");
  const init: MessageInitShape<typeof JobSchema> = {
    id: job.id,
    fence: BigInt(job.fence),
    function: job.function,
    input: valueFromJson(JSON.parse(openJson(deps.box, sealed))),
    taskId: job.taskId,
    node: job.node,
    tries: job.tries,
    lease: durationFromMs(deps.jobRules.leaseMs),
    deadline: timestampFromMs(job.deadline),
  };
  return create(JobSchema, init);
}
