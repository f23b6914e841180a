import { ApiError } from "../api/api-error.ts";
import type { Caller } from "../api/caller.ts";
import { type Json, objectOf } from "../api/json.ts";
import { backoffMs, pause } from "../api/pause.ts";
import type { JobContext, ServedFunction } from "./function.ts";
import type { Job } from "./job.ts";
import { JobError } from "./job-error.ts";

const callMs = 10_000;
const maxWaiting = 256;
const maxLines = 100;
const maxMessage = 2_000;

/** A job that this worker has, from when it came until it is answered or lost. */
export interface HeldJob {
  readonly job: Job;
  /** Own monotonic clock: when the lease ends unless it is extended. */
  leaseUntil: number;
  /** Stops the function; nothing is answered any more. */
  readonly abort: AbortController;
  /** Resolves when it is answered, or nobody wants an answer. Never rejects. */
  readonly done: Promise<void>;
}

/** Runs the function of a job and answers the server. `leasedAt` is when its lease began, by the monotonic clock. */
export function holdJob(
  deps: { readonly api: Caller; readonly onError: (error: unknown) => void },
  job: Job,
  served: ServedFunction,
  leasedAt: number,
): HeldJob {
  const abort = new AbortController();
  return { job, abort, leaseUntil: leasedAt + job.leaseMs, done: perform(deps, job, served, abort.signal).catch(deps.onError) };
}

interface Deps {
  readonly api: Caller;
  readonly onError: (error: unknown) => void;
}

async function perform(deps: Deps, job: Job, served: ServedFunction, signal: AbortSignal): Promise<void> {
  const words = sayings(deps, job, signal);
  const context: JobContext = {
    id: job.id,
    taskId: job.taskId,
    node: job.node,
    function: job.function,
    tries: job.tries,
    deadline: job.deadline,
    signal,
    progress: words.progress,
    log: words.log,
  };
  let answer: { readonly verb: "complete" | "fail"; readonly body: { readonly [key: string]: Json } };
  try {
    // A function that does not listen to its signal must not keep a worker from stopping.
    const output = await Promise.race([Promise.resolve(served.handler(job.input, context)), aborted(signal)]);
    answer = { verb: "complete", body: { output: output ?? null } };
  } catch (why) {
    answer = { verb: "fail", body: { error: errorOf(why) } };
  }
  if (signal.aborted) return;
  await words.flushed();
  await tell(deps, job, answer.verb, answer.body, signal);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

function errorOf(why: unknown): { readonly [key: string]: Json } {
  if (why instanceof JobError) {
    const { code, message, retryable, details } = why;
    return { code, message: message.slice(0, maxMessage), retryable, ...(details === undefined ? {} : { details }) };
  }
  const message = why instanceof Error ? why.message : String(why);
  return { code: "function_failed", message: message.slice(0, maxMessage), retryable: true };
}

/** Answers until the answer is taken, or nobody wants it: the lease is kept meanwhile. */
async function tell(
  { api, onError }: Deps,
  job: Job,
  verb: "complete" | "fail",
  body: { readonly [key: string]: Json },
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      await api.post(`/v1/jobs/${job.id}:${verb}`, { fence: job.fence, ...body }, { timeoutMs: callMs, signal });
      return;
    } catch (why) {
      if (signal.aborted) return;
      if (!(why instanceof ApiError)) throw why;
      if (why.isPassing) await pause(why.retryAfterMs ?? backoffMs(failures), signal);
      else {
        onError(why);
        // Somebody else has it, or nobody waits any more. Anything else is the fault of the answer, and the node is to know.
        if (why.status === 404 || why.status === 409 || verb === "fail") return;
        const error = { code: "output_refused", message: why.message.slice(0, maxMessage), retryable: false };
        return tell({ api, onError }, job, "fail", { error }, signal);
      }
    }
  }
}

/** Sends what the function says meanwhile, in order, without keeping it waiting. */
function sayings({ api, onError }: Deps, job: Job, signal: AbortSignal) {
  const deltas: Json[] = [];
  const lines: string[] = [];
  let sending: Promise<void> | undefined;

  async function send(): Promise<void> {
    const options = { timeoutMs: callMs, signal };
    while (!signal.aborted && (deltas.length > 0 || lines.length > 0)) {
      const batch = lines.splice(0, maxLines);
      if (batch.length > 0) await api.post(`/v1/jobs/${job.id}:log`, { fence: job.fence, lines: batch }, options);
      const delta = deltas.shift();
      if (delta !== undefined) await api.post(`/v1/jobs/${job.id}:progress`, { fence: job.fence, delta }, options);
    }
  }

  function start(): void {
    sending ??= send()
      .catch((why: unknown) => {
        if (!signal.aborted) onError(why);
      })
      .finally(() => {
        sending = undefined;
      });
  }

  return {
    progress(delta: Json): void {
      if (deltas.length >= maxWaiting) deltas.shift();
      deltas.push(delta);
      start();
    },
    log(line: string): void {
      if (lines.length >= 4 * maxWaiting) lines.shift();
      lines.push(line);
      start();
    },
    /** Resolves when all of it was sent, or could not be. */
    async flushed(): Promise<void> {
      await sending;
    },
  };
}

/** What the server says about jobs, by id: `continue`, `cancelled` or `lost`. */
export function verdictsOf(answer: unknown): ReadonlyMap<string, string> {
  const { jobs } = objectOf(answer);
  const verdicts = new Map<string, string>();
  if (Array.isArray(jobs))
    for (const each of jobs) {
      const { id, verdict } = objectOf(each);
      verdicts.set(String(id), String(verdict));
    }
  return verdicts;
}
