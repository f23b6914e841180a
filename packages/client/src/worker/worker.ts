import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { ApiError } from "../api/api-error.ts";
import { caller } from "../api/caller.ts";
import { backoffMs, pause } from "../api/pause.ts";
import type { ServedFunction } from "./function.ts";
import { type HeldJob, holdJob, verdictsOf } from "./held-job.ts";
import { jobsOf } from "./job.ts";

export interface WorkerOptions {
  /** Where the server is, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly apiKey?: string;
  /** What the worker is called, for people; default host, process and some chance. */
  readonly name?: string;
  /** The functions by name, as `worker` nodes say it. */
  readonly functions: Readonly<Record<string, ServedFunction>>;
  /** Hears of calls that failed; those that may succeed later are made again by themselves. Default: nobody hears. */
  readonly onError?: (error: unknown) => void;
  /** The longest that one call waits for a job, 1 to 60 s; default 50 s. */
  readonly waitSeconds?: number;
}

/** Serves functions to workflows. */
export interface Worker {
  /** Jobs that it has now. */
  readonly running: number;
  /** Registers the functions and begins to take jobs. Rejects with ApiError when the server refuses them or the key; waits for one that is away. */
  start(): Promise<void>;
  /** Takes no more jobs, finishes what it can within `drainMs` (default 10 s), and gives the rest back, for other workers to do at once. */
  stop(options?: { readonly drainMs?: number }): Promise<void>;
}

const callMs = 10_000;
const defaultDrainMs = 10_000;
/** How often leases are looked at. */
const lookMs = 200;

/** A worker over the HTTP API. Nothing happens before `start`. */
export function worker(options: WorkerOptions): Worker {
  const { functions, onError = () => {}, waitSeconds = 50 } = options;
  const name = options.name ?? `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`;
  const api = caller(options);
  const held = new Map<string, HeldJob>();
  const stopping = new AbortController();
  let loops: Promise<unknown> = Promise.resolve();
  let ended = new AbortController();
  let changed = new AbortController();
  let looking: NodeJS.Timeout | undefined;

  /** Wakes whoever waits for another set of jobs. */
  function tellChanged(): void {
    const told = changed;
    changed = new AbortController();
    told.abort();
  }

  function countOf(called: string): number {
    let count = 0;
    for (const { job } of held.values()) if (job.function === called) count++;
    return count;
  }

  async function pollLoop(called: string, served: ServedFunction): Promise<void> {
    const { concurrency = 1 } = served;
    for (let failures = 0; !stopping.signal.aborted; ) {
      const free = concurrency - countOf(called);
      if (free <= 0) {
        await aborted(changed.signal);
        continue;
      }
      try {
        const body = { worker: name, functions: [{ name: called, capacity: free }], wait: `${waitSeconds}s` };
        const timeoutMs = waitSeconds * 1_000 + callMs;
        const jobs = jobsOf(await api.post("/v1/workers:poll", body, { timeoutMs, signal: stopping.signal }));
        failures = 0;
        // How long the answer was under way nobody knows; the heartbeat that follows at once settles it.
        for (const job of jobs) take(holdJob({ api, onError }, job, served, performance.now() - job.leaseMs / 2));
      } catch (why) {
        if (stopping.signal.aborted) return;
        onError(why);
        const asked = why instanceof ApiError ? why.retryAfterMs : undefined;
        await pause(asked ?? backoffMs(failures++), stopping.signal);
      }
    }
  }

  function take(one: HeldJob): void {
    held.set(one.job.id, one);
    void one.done.then(() => {
      if (held.get(one.job.id) === one) held.delete(one.job.id);
      tellChanged();
    });
    tellChanged();
  }

  function drop({ job, abort }: HeldJob, why: string): void {
    held.delete(job.id);
    abort.abort(new Error(`the job was stopped: ${why}`));
    tellChanged();
  }

  async function beatLoop(): Promise<void> {
    for (let failures = 0; !ended.signal.aborted; ) {
      const jobs = [...held.values()];
      const other = changed.signal;
      if (jobs.length === 0) {
        await aborted(other);
        continue;
      }
      const leaseMs = Math.min(...jobs.map(({ job }) => job.leaseMs));
      try {
        const sentAt = performance.now();
        const body = { jobs: jobs.map(({ job: { id, fence } }) => ({ id, fence })), wait: `${(leaseMs / 3_000).toFixed(3)}s` };
        const verdicts = verdictsOf(
          await api.post("/v1/workers:heartbeat", body, { timeoutMs: (leaseMs * 2) / 3, signal: other }),
        );
        failures = 0;
        for (const one of jobs) {
          if (held.get(one.job.id) !== one) continue;
          const verdict = verdicts.get(one.job.id);
          if (verdict === "continue") one.leaseUntil = Math.max(one.leaseUntil, sentAt + one.job.leaseMs);
          else drop(one, verdict === "cancelled" ? "nobody waits for it any more" : "its lease is lost");
        }
      } catch (why) {
        // Asked anew, because there are other jobs now.
        if (other.aborted) continue;
        onError(why);
        await pause(Math.min(backoffMs(failures++), leaseMs / 10), ended.signal);
      }
    }
  }

  function endLeases(): void {
    const at = performance.now();
    for (const one of held.values()) if (one.leaseUntil <= at) drop(one, "its lease ended");
  }

  return {
    get running() {
      return held.size;
    },
    async start() {
      const all = Object.entries(functions);
      const body = { worker: name, functions: all.map(([called]) => ({ name: called, capacity: 0 })) };
      for (let failures = 0; ; ) {
        try {
          await api.post("/v1/workers:poll", body, { timeoutMs: callMs, signal: stopping.signal });
          break;
        } catch (why) {
          if (!(why instanceof ApiError) || !why.isPassing || stopping.signal.aborted) throw why;
          onError(why);
          await pause(why.retryAfterMs ?? backoffMs(failures++), stopping.signal);
        }
      }
      ended = new AbortController();
      looking = setInterval(endLeases, lookMs);
      loops = Promise.all([beatLoop(), ...all.map(([called, served]) => pollLoop(called, served))]);
    },
    async stop({ drainMs = defaultDrainMs } = {}) {
      stopping.abort();
      const patience = new AbortController();
      await Promise.race([allDone(held), pause(drainMs, patience.signal)]);
      patience.abort();
      const left = [...held.values()];
      for (const one of left) drop(one, "the worker stops");
      if (left.length > 0) {
        const jobs = left.map(({ job: { id, fence } }) => ({ id, fence }));
        // What can't be given back waits until its lease ends.
        await api.post("/v1/workers:release", { jobs }, { timeoutMs: callMs }).catch(onError);
      }
      clearInterval(looking);
      ended.abort();
      tellChanged();
      await loops;
    },
  };
}

async function allDone(held: ReadonlyMap<string, HeldJob>): Promise<void> {
  while (held.size > 0) await Promise.all([...held.values()].map(({ done }) => done));
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
