import type { DoneJob, Job, JobCommon, JobLine, JobRules, LeasedJob, QueuedJob } from "./job.ts";

/** What may happen to a job. `fence` is the number of the lease that the worker was told. */
export type JobEvent =
  /** A worker asks for it. */
  | { readonly kind: "lease"; readonly worker: string }
  /** The worker is alive. */
  | { readonly kind: "heartbeat"; readonly fence: number }
  /** The worker wrote something; nothing else changes. */
  | { readonly kind: "log"; readonly fence: number; readonly lines: readonly string[] }
  /** The worker's answer is durably with the task. */
  | { readonly kind: "finish"; readonly fence: number }
  /** The worker gives it back, which uses up no try. */
  | { readonly kind: "release"; readonly fence: number }
  /** Its time may have come. */
  | { readonly kind: "expire" };

export type JobRefusal =
  /** Somebody else has it, or nobody. */
  | "lost"
  /** This answer was given before. */
  | "applied"
  /** Nobody waits for it any more. */
  | "over"
  /** It does not wait for a worker. */
  | "taken"
  /** There is nothing to do yet. */
  | "early";

export type JobDecision =
  | { readonly kind: "store"; readonly next: Job }
  /** To be stored as well, and is then held by whoever stored it: its node must be told that its workers were lost, and then it is finished. */
  | { readonly kind: "give-up"; readonly next: LeasedJob }
  | { readonly kind: "remove" }
  | { readonly kind: "refuse"; readonly why: JobRefusal };

const maxLogBytes = 16_384;
const maxLine = 2_000;

/** The only place that says what a job may do. `now` is in milliseconds since the epoch. */
export function decideJob(job: Job, event: JobEvent, now: number, rules: JobRules): JobDecision {
  switch (event.kind) {
    case "lease":
      return lease(job, event.worker, now, rules);
    case "heartbeat":
      return whileHeld(job, event.fence, now, (held) => ({ ...held, leaseUntil: now + rules.leaseMs }));
    case "log":
      return whileHeld(job, event.fence, now, (held) => ({ ...held, log: withLines(held.log ?? [], event.lines, now) }));
    case "finish":
      return whileHeld(job, event.fence, now, (held) => done(held, now, rules));
    case "release":
      return whileHeld(job, event.fence, now, (held) => ({ ...queued(held), tries: Math.max(0, held.tries - 1) }));
    case "expire":
      return expire(job, now, rules);
  }
}

function lease(job: Job, worker: string, now: number, rules: JobRules): JobDecision {
  if (job.state !== "queued") return refuse("taken");
  if (job.deadline <= now) return refuse("over");
  const next: LeasedJob = {
    ...job,
    state: "leased",
    worker,
    leaseUntil: now + rules.leaseMs,
    tries: job.tries + 1,
    fence: job.fence + 1,
  };
  return store(next);
}

function expire(job: Job, now: number, rules: JobRules): JobDecision {
  if (job.state === "done") return job.keptUntil <= now ? { kind: "remove" } : refuse("early");
  if (job.deadline <= now) return { kind: "remove" };
  if (job.state === "queued" || job.leaseUntil > now) return refuse("early");
  if (job.tries < rules.maxTries) return store(queued(job));
  // The fence rises first, so that no worker's late answer meets the one that is about to be given.
  return { kind: "give-up", next: { ...job, worker: "", leaseUntil: now + rules.leaseMs, fence: job.fence + 1 } };
}

/** A lease whose time is up still counts until the job was taken back: nobody else has it before that. */
function whileHeld(job: Job, fence: number, now: number, change: (held: LeasedJob) => Job): JobDecision {
  if (job.state === "done" && job.fence === fence) return refuse("applied");
  if (job.state !== "leased" || job.fence !== fence) return refuse("lost");
  return job.deadline <= now ? refuse("over") : store(change(job));
}

function queued(job: Job): QueuedJob {
  return { ...commonOf(job), state: "queued" };
}

function done(job: Job, now: number, rules: JobRules): DoneJob {
  // What it was asked for, and what it wrote, is with the task now.
  const { log: _log, ...common } = commonOf(job);
  return { ...common, input: { kind: "inline", json: "null" }, state: "done", keptUntil: now + rules.keepMs };
}

function commonOf(job: Job): JobCommon {
  return {
    project: job.project,
    id: job.id,
    partition: job.partition,
    taskId: job.taskId,
    node: job.node,
    function: job.function,
    input: job.input,
    priority: job.priority,
    createTime: job.createTime,
    deadline: job.deadline,
    tries: job.tries,
    fence: job.fence,
    ...(job.withheld === undefined ? {} : { withheld: job.withheld }),
    ...(job.log === undefined ? {} : { log: job.log }),
  };
}

/** The newest lines within the bound; of a job that runs long the end says more than the beginning. */
function withLines(known: readonly JobLine[], lines: readonly string[], at: number): readonly JobLine[] {
  const all = [...known, ...lines.map((line) => ({ at, line: line.slice(0, maxLine) }))];
  let bytes = 0;
  let from = all.length;
  for (const { line } of all.toReversed()) {
    // UTF-8 takes at most three bytes per UTF-16 unit, and an escape six.
    bytes += line.length * 6 + 40;
    if (bytes > maxLogBytes) break;
    from--;
  }
  return all.slice(from);
}

function store(next: Job): JobDecision {
  return { kind: "store", next };
}

function refuse(why: JobRefusal): JobDecision {
  return { kind: "refuse", why };
}
