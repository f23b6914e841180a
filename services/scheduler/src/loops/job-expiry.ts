import { LonghaulError, partitionCount, type StoredJob } from "@longhaul/core";
import { changeJob } from "../jobs/change-job.ts";
import { endJob } from "../jobs/end-job.ts";
import type { JobDeps } from "../jobs/jobs.ts";

/** Looks after jobs whose lease, time or memory ends. One index, one timer; a look is the net behind it. */
export interface JobExpiry {
  start(): void;
  stop(): Promise<void>;
  /** Some job will be due at this time. */
  note(partition: number, at: number): void;
  /** The partitions to look after, from now on. */
  own(partitions: ReadonlySet<number>): void;
}

const batch = 100;
const lookMs = 15_000;
/** After a look, because what could not be handled is still due. */
const pauseMs = 250;
const failedPauseMs = 2_000;

export function jobExpiry(deps: () => JobDeps, now: () => number): JobExpiry {
  let owned: readonly number[] = [];
  const isOwned = new Array<boolean>(partitionCount).fill(false);
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let wantedAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | undefined;
  let stopped = true;

  function plan(at: number): void {
    if (stopped || running !== undefined) {
      wantedAt = Math.min(wantedAt, at);
      return;
    }
    const wanted = Math.max(now(), at);
    if (timer !== undefined && timerAt <= wanted) return;
    clearTimeout(timer);
    timerAt = wanted;
    timer = setTimeout(look, Math.min(lookMs, wanted - now()));
  }

  function look(): void {
    timer = undefined;
    timerAt = Number.POSITIVE_INFINITY;
    wantedAt = Number.POSITIVE_INFINITY;
    let rest = pauseMs;
    running = sweep()
      .catch((why: unknown) => {
        rest = failedPauseMs;
        deps().log.warn({ err: why }, "jobs of workers could not be looked after; trying again");
      })
      .then(async () => {
        const next =
          owned.length === 0
            ? undefined
            : await deps()
                .jobs.nextDue(owned)
                .catch(() => undefined);
        running = undefined;
        plan(Math.max(Math.min(next ?? Number.POSITIVE_INFINITY, wantedAt, now() + lookMs), now() + rest));
      });
  }

  async function sweep(): Promise<void> {
    const due = owned.length === 0 ? [] : await deps().jobs.listDue(owned, now(), batch);
    for (const stored of due) {
      if (stopped) return;
      await expireOne(deps(), stored).catch((why: unknown) => {
        if (!(why instanceof LonghaulError) || why.code === "unavailable") throw why;
        const { taskId, node, id } = stored.job;
        // Nobody waits any more, or somebody else was faster.
        if (why.code !== "not_found" && why.code !== "conflict")
          deps().log.warn({ taskId, node, job: id, err: why }, "a job could not be looked after; trying again");
      });
    }
  }

  return {
    start() {
      stopped = false;
      plan(0);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      timer = undefined;
      await running;
      clearTimeout(timer);
    },
    note(partition, at) {
      if (isOwned[partition] === true) plan(at);
    },
    own(partitions) {
      owned = [...partitions];
      isOwned.forEach((_, partition) => {
        isOwned[partition] = partitions.has(partition);
      });
      plan(0);
    },
  };
}

async function expireOne(deps: JobDeps, stored: StoredJob): Promise<void> {
  const { job } = stored;
  const change = await changeJob(deps, job, { kind: "expire" }, stored);
  if (change === undefined) return;
  const { decision } = change;
  if (decision.kind === "remove" && job.state === "leased") deps.jobBells.ended(job.project, [job.id]);
  if (decision.kind === "store") {
    deps.log.info({ taskId: job.taskId, node: job.node, job: job.id }, "a worker was lost; its job waits again");
    deps.jobBells.ended(job.project, [job.id]);
  }
  if (decision.kind !== "give-up") return;
  const message = `The worker of function "${job.function}" was lost ${job.tries} times while it had this job.`;
  // What can't be told now is told when this hold of the job ends, as if it were a worker's.
  await endJob(deps, decision.next, decision.next.fence, { error: { code: "worker_lost", message, retryable: false } });
}
