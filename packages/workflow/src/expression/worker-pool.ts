import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type { EvaluateReply, EvaluateRequest } from "./worker-messages.ts";

export interface WorkerPoolOptions {
  /** Threads, started when first needed. */
  readonly size: number;
  /** Time that one evaluation may take, counted from when a thread begins it. */
  readonly deadlineMs: number;
  /** Units of the meter for one evaluation. */
  readonly units: number;
  /** Evaluations that may wait for a thread; more are refused. */
  readonly queue: number;
}

export const defaultWorkerPoolOptions: WorkerPoolOptions = { size: 2, deadlineMs: 1000, units: 50_000_000, queue: 1000 };

/** Why a pool gave no result; `pointer` is a JSON pointer into the template. */
export class WorkerRefusal extends Error {
  override readonly name = "WorkerRefusal";
  readonly pointer: string;
  constructor(message: string, pointer = "", cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.pointer = pointer;
  }
}

export interface WorkerPool {
  /** Evaluates a template (JSON text) over a scope (JSON text); answers JSON text. Rejects with WorkerRefusal only. */
  evaluate(template: string, scope: string): Promise<string>;
  /** Ends all threads; what was under way is refused. */
  close(): Promise<void>;
}

interface Job {
  readonly template: string;
  readonly scope: string;
  resolve(result: string): void;
  reject(error: WorkerRefusal): void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
  /** Runs out at the job's deadline. */
  timer: NodeJS.Timeout | undefined;
  /** The first job of a thread also waits for it to start, which is no fault of the job. */
  ready: boolean;
}

const startMs = 30_000;

const limits = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 };

function startWorker(): Worker {
  const worker = import.meta.url.endsWith(".ts")
    ? startFromSource()
    : new Worker(new URL("./evaluate-worker.js", import.meta.url), settings);
  worker.unref();
  return worker;
}

const settings = { resourceLimits: limits, env: {}, execArgv: [] };

/** Run from source, as tests do, the worker is TypeScript: a line of JavaScript registers the loader that reads it. */
function startFromSource(): Worker {
  const loader = new URL("./dist/esm/api/index.mjs", pathToFileURL(createRequire(import.meta.url).resolve("tsx/package.json")))
    .href;
  const worker = new URL("./evaluate-worker.ts", import.meta.url).href;
  const script = `import(${JSON.stringify(loader)}).then(({ register }) => { register(); return import(${JSON.stringify(worker)}); })`;
  return new Worker(script, { ...settings, eval: true });
}

function threadFault(error: unknown): string {
  const outOfMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return outOfMemory ? "the expression needs too much memory" : "the expression's thread failed";
}

/** A few threads for evaluations that are too long for the main one. A thread that misses a deadline is ended and replaced. */
export function workerPool(options: WorkerPoolOptions = defaultWorkerPoolOptions): WorkerPool {
  const threads = new Set<Thread>();
  const waiting: Job[] = [];
  let nextId = 0;

  function begin(): void {
    while (waiting.length > 0) {
      const thread = [...threads].find(({ job }) => job === undefined) ?? open();
      const job = thread && waiting.shift();
      if (!thread || !job) return;
      thread.job = job;
      // Keeps the process alive while somebody waits for the answer.
      thread.worker.ref();
      startTimer(thread, thread.ready ? options.deadlineMs : startMs);
      const request: EvaluateRequest = { id: nextId++, template: job.template, scope: job.scope, units: options.units };
      thread.worker.postMessage(request);
    }
  }

  function open(): Thread | undefined {
    if (threads.size >= options.size) return undefined;
    const thread: Thread = { worker: startWorker(), job: undefined, timer: undefined, ready: false };
    threads.add(thread);
    thread.worker.on("message", (reply: EvaluateReply) => {
      if (!reply.ready) settle(thread, reply);
      else restartTimer(thread);
    });
    thread.worker.on("error", (error) => drop(thread, threadFault(error), error));
    thread.worker.on("exit", () => drop(thread, "the expression's thread ended"));
    return thread;
  }

  /** The thread has loaded: from now on it is the job that takes time. */
  function restartTimer(thread: Thread): void {
    thread.ready = true;
    if (thread.job === undefined) return;
    startTimer(thread, options.deadlineMs);
  }

  function startTimer(thread: Thread, ms: number): void {
    clearTimeout(thread.timer);
    thread.timer = setTimeout(() => drop(thread, `the expression took longer than ${options.deadlineMs} ms`), ms);
  }

  function settle(thread: Thread, reply: Exclude<EvaluateReply, { readonly ready: true }>): void {
    const { job } = thread;
    clearTimeout(thread.timer);
    thread.job = undefined;
    thread.worker.unref();
    if (reply.ok) job?.resolve(reply.result);
    else job?.reject(new WorkerRefusal(reply.message, reply.pointer));
    begin();
  }

  function drop(thread: Thread, why: string, cause?: unknown): void {
    if (!threads.delete(thread)) return;
    clearTimeout(thread.timer);
    thread.worker.removeAllListeners();
    // An error event of a thread that is being ended has nobody to tell.
    thread.worker.on("error", () => undefined);
    void thread.worker.terminate();
    thread.job?.reject(new WorkerRefusal(why, "", cause));
    begin();
  }

  return {
    evaluate(template, scope) {
      return new Promise((resolve, reject) => {
        if (waiting.length >= options.queue) {
          reject(new WorkerRefusal("too many long expressions are waiting"));
          return;
        }
        waiting.push({ template, scope, resolve, reject });
        begin();
      });
    },
    async close() {
      const ending = [...threads];
      for (const job of waiting.splice(0)) job.reject(new WorkerRefusal("the pool is closing"));
      for (const thread of ending) drop(thread, "the pool is closing");
      await Promise.all(ending.map(({ worker }) => worker.terminate()));
    },
  };
}
