import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import type { SandboxFault, SandboxReply, SandboxRequest } from "./sandbox-messages.ts";
import { startThread } from "./start-thread.ts";

export interface SandboxPoolOptions {
  /** Threads, started when first needed. */
  readonly size: number;
  /** Runs that may wait for a thread; more are refused. */
  readonly queue: number;
  /** Time beyond a run's limit in which the sandbox may end it itself; after that its thread is terminated. */
  readonly graceMs: number;
}

export const defaultSandboxPoolOptions: SandboxPoolOptions = {
  size: Math.min(8, Math.max(2, availableParallelism())),
  queue: 10_000,
  graceMs: 250,
};

/** A run: its request, what aborts it, and who gets its console lines. */
export interface SandboxRun extends Omit<SandboxRequest, "id"> {
  readonly signal: AbortSignal;
  log(line: string): void;
}

/** Why a pool gave no result. `busy`: too many runs wait. `lost`: the thread ended for a reason that is not the code's. */
export type PoolFault = SandboxFault | { readonly kind: "busy" } | { readonly kind: "lost"; readonly message: string };

export class SandboxFailure extends Error {
  override readonly name = "SandboxFailure";
  readonly fault: PoolFault;
  constructor(fault: PoolFault, cause?: unknown) {
    super(`the code gave no result: ${fault.kind}`, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}

export interface SandboxPool {
  /** Runs code; answers JSON text. Rejects with SandboxFailure, or with the signal's reason as soon as it aborts. */
  run(run: SandboxRun): Promise<string>;
  /** Ends all threads; what was under way is lost. */
  close(): Promise<void>;
}

interface Job {
  readonly run: SandboxRun;
  resolve(output: string): void;
  /** Ends the job without a result; what its thread may still say is not heard. */
  reject(error: unknown): void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
  /** Number of the job's request: a late message of an earlier one is none of its business. */
  id: number;
  /** Runs out when the thread must be terminated. */
  timer: NodeJS.Timeout | undefined;
  /** The first job of a thread also waits for it to start, which is no fault of the job. */
  ready: boolean;
}

const startMs = 30_000;

// The interpreter's own memory lies outside of the heap and is bounded by each run; its deepest recursion needs stack of the thread.
const settings = {
  resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32, stackSizeMb: 16 },
  env: {},
  execArgv: [],
};

/**
 * A few threads that run code in sandboxes. A run has the thread to itself, so whatever it does harms no other; a thread whose run does not end
 * in time, or is aborted, is terminated and replaced.
 */
export function sandboxPool(options: SandboxPoolOptions = defaultSandboxPoolOptions): SandboxPool {
  const threads = new Set<Thread>();
  const waiting = new Set<Job>();
  let nextId = 0;

  function begin(): void {
    for (const job of waiting) {
      const thread = [...threads].find((each) => each.job === undefined) ?? open();
      if (!thread) return;
      waiting.delete(job);
      thread.job = job;
      thread.id = nextId++;
      // Keeps the process alive while somebody waits for the answer.
      thread.worker.ref();
      startTimer(thread);
      const { source, input, memoryBytes, outputBytes, nowMs, seed, limitMs } = job.run;
      const request: SandboxRequest = { id: thread.id, source, input, memoryBytes, outputBytes, nowMs, seed, limitMs };
      thread.worker.postMessage(request);
    }
  }

  function open(): Thread | undefined {
    if (threads.size >= options.size) return undefined;
    const worker = startThread(new URL("./sandbox-worker.js", import.meta.url), settings);
    const thread: Thread = { worker, job: undefined, id: -1, timer: undefined, ready: false };
    threads.add(thread);
    worker.unref();
    worker.on("message", (reply: SandboxReply) => hear(thread, reply));
    worker.on("error", (error) => drop(thread, new SandboxFailure(threadFault(error), error)));
    worker.on("exit", () => drop(thread, new SandboxFailure({ kind: "lost", message: "the code's thread ended" })));
    return thread;
  }

  function startTimer(thread: Thread): void {
    clearTimeout(thread.timer);
    if (thread.job === undefined) return;
    const fault: PoolFault = thread.ready ? { kind: "timeout" } : { kind: "lost", message: "the code's thread did not start" };
    const ms = thread.ready ? thread.job.run.limitMs + options.graceMs : startMs;
    thread.timer = setTimeout(() => drop(thread, new SandboxFailure(fault)), ms);
  }

  function hear(thread: Thread, reply: SandboxReply): void {
    if (reply.kind === "ready") {
      thread.ready = true;
      startTimer(thread);
      return;
    }
    const { job } = thread;
    if (job === undefined || reply.id !== thread.id) return;
    if (reply.kind === "log") {
      job.run.log(reply.line);
      return;
    }
    clearTimeout(thread.timer);
    thread.job = undefined;
    thread.worker.unref();
    if (reply.kind === "done") job.resolve(reply.output);
    else job.reject(new SandboxFailure(reply.fault));
    begin();
  }

  function drop(thread: Thread, why: unknown): void {
    if (!threads.delete(thread)) return;
    clearTimeout(thread.timer);
    thread.worker.removeAllListeners();
    // An error event of a thread that is being ended has nobody to tell.
    thread.worker.on("error", () => undefined);
    void thread.worker.terminate();
    thread.job?.reject(why);
    begin();
  }

  function abort(job: Job): void {
    const { reason } = job.run.signal;
    const thread = [...threads].find((each) => each.job === job);
    if (thread) drop(thread, reason);
    else if (waiting.delete(job)) job.reject(reason);
  }

  return {
    async run(run) {
      const { signal } = run;
      signal.throwIfAborted();
      if (waiting.size >= options.queue) throw new SandboxFailure({ kind: "busy" });
      let onAbort: () => void = () => undefined;
      try {
        return await new Promise<string>((resolve, reject) => {
          const job: Job = { run, resolve, reject };
          onAbort = () => abort(job);
          signal.addEventListener("abort", onAbort, { once: true });
          waiting.add(job);
          begin();
        });
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    async close() {
      const closing = new SandboxFailure({ kind: "lost", message: "the pool is closing" });
      for (const job of waiting) job.reject(closing);
      waiting.clear();
      const ending = [...threads];
      for (const thread of ending) drop(thread, closing);
      await Promise.all(ending.map(({ worker }) => worker.terminate()));
    },
  };
}

function threadFault(error: unknown): PoolFault {
  const outOfMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return outOfMemory ? { kind: "memory" } : { kind: "lost", message: "the code's thread failed" };
}
