import type { Json, OutboundRequest, OutboundResponse, Spent } from "@longhaul/core";
import { compileWorkflow } from "../../definition/compile-workflow.ts";
import type { CompiledWorkflow } from "../../definition/compiled-workflow.ts";
import type { ChildRequest, JobRequest } from "../../kinds/kind.ts";
import { runTask } from "../run-task.ts";
import type { ArrivalFact, NodeRecord, StoredRun, TaskFacts, TaskHooks, TaskOutcome } from "../task-run.ts";

/** Compiles nodes that must be right. */
export function compiled(nodes: readonly Json[], more: Readonly<Record<string, Json>> = {}): CompiledWorkflow {
  const result = compileWorkflow({ name: "test", nodes, ...more });
  if (!result.ok) throw new Error(JSON.stringify(result.faults, null, 2));
  return result.workflow;
}

export function transform(id: string, value: Json, needs: Json = [], more: Readonly<Record<string, Json>> = {}): Json {
  return { id, kind: "transform", needs, with: value, ...more };
}

export function http(id: string, more: Readonly<Record<string, Json>> = {}): Json {
  return { id, kind: "http", with: { url: `http://service.test/${id}` }, ...more };
}

export function answer(status: number, body: Json = null): OutboundResponse {
  return { status, headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(body)) };
}

export function outputOf(outcome: TaskOutcome): Json {
  if (outcome.kind !== "succeeded") throw new Error(JSON.stringify(outcome));
  return JSON.parse(outcome.outputJson);
}

interface Sleeper {
  readonly dueMs: number;
  wake(): void;
}

export interface EngineWorldOptions {
  readonly input?: Json;
  readonly respond?: (request: OutboundRequest) => Promise<OutboundResponse>;
  /** Hand the engine no runs inside of `foreach` nodes: it reads them by pages. */
  readonly pages?: boolean;
  readonly hooks?: Partial<TaskHooks>;
}

/**
 * What surrounds the engine, in memory: a store that keeps what was behind a barrier, an inbox, children and a clock that only moves when
 * told. Each `run` is an attempt; one that is stopped may lose what was not stored.
 */
export function engineWorld(workflow: CompiledWorkflow, options: EngineWorldOptions = {}) {
  const store = new Map<string, NodeRecord>();
  const records: NodeRecord[] = [];
  const requests: OutboundRequest[] = [];
  const children = new Map<string, ChildRequest>();
  const jobs = new Map<string, JobRequest>();
  const cache = new Map<string, { readonly value: Json; readonly ttlMs: number }>();
  const progress: Json[] = [];
  const sleepers = new Set<Sleeper>();
  const clock = { ms: 1_000_000 };
  let inbox: ArrivalFact[] = [];
  let arrivals = 0;
  let spent: Spent | undefined;
  let listener: ((arrivals: readonly ArrivalFact[]) => void) | undefined;
  const waiters = new Set<() => void>();
  const read: string[] = [];
  const again: string[] = [];

  function changed(): void {
    for (const wake of [...waiters]) wake();
  }

  /** Resolves as soon as it is true; everything that happens here asks again. */
  async function until(reached: () => boolean): Promise<void> {
    while (!reached()) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          waiters.delete(wake);
          resolve();
        };
        waiters.add(wake);
      });
    }
  }

  function storeRuns(runs: readonly NodeRecord[], consumed: readonly number[]): void {
    for (const run of runs) store.set(run.path, run);
    inbox = inbox.filter(({ seq }) => !consumed.includes(seq));
  }

  function factsNow(): TaskFacts {
    const all = [...store.values()].map(storedRun);
    return {
      taskId: "task-1",
      input: options.input ?? {},
      task: { id: "task-1", workflow: "test" },
      stored: options.pages === true ? all.filter(({ path }) => !path.includes("[")) : all,
      hasMoreStored: options.pages === true,
      arrivals: [...inbox],
      ...(spent === undefined ? {} : { spent }),
    };
  }

  /** One attempt. With `stopAfter` it is stopped at that record; what was not behind a barrier is lost. */
  function run(stopAfter = Number.POSITIVE_INFINITY): { readonly outcome: Promise<TaskOutcome>; stop(): void } {
    const controller = new AbortController();
    let left = stopAfter;
    const waiting: NodeRecord[] = [];
    let consuming: number[] = [];
    const isSure = stopAfter === Number.POSITIVE_INFINITY;
    const hooks: TaskHooks = {
      record(runs, { barrier, consumed, spent: more }) {
        for (const record of runs) {
          if (left-- <= 0) {
            controller.abort();
            return barrier ? new Promise(() => undefined) : undefined;
          }
          const known = store.get(record.path);
          const isResult = known !== undefined && known.state !== "running" && known.state !== "waiting";
          if (isResult && record.path !== "$budget") again.push(record.path);
          records.push(record);
          waiting.push(record);
        }
        consuming.push(...consumed);
        if (barrier || isSure) {
          storeRuns(waiting.splice(0), consuming);
          consuming = [];
        }
        if (more !== undefined) spent = sum(spent, more);
        changed();
        return barrier ? Promise.resolve() : undefined;
      },
      progress: (path, delta) => void progress.push([path, delta]),
      signal: controller.signal,
      outbound: {
        request(request) {
          requests.push(request);
          changed();
          return options.respond?.(request) ?? Promise.resolve(answer(200, { ok: true }));
        },
        stream: () => Promise.reject(new Error("nobody streams here")),
      },
      now: () => clock.ms,
      sleep(ms, signal) {
        return new Promise((resolve, reject) => {
          const sleeper = { dueMs: clock.ms + ms, wake: resolve };
          sleepers.add(sleeper);
          signal.addEventListener("abort", () => {
            sleepers.delete(sleeper);
            reject(signal.reason);
          });
          changed();
        });
      },
      random: () => 0,
      services: {
        startChild(request) {
          children.set(request.operationKey, request);
          changed();
          return Promise.resolve({ taskId: `child-${request.operationKey}` });
        },
        connection: () => Promise.reject(new Error("there are none")),
        acquireCall: () => Promise.reject(new Error("there are no connections")),
        submitJob(request) {
          jobs.set(request.operationKey, request);
          changed();
          return Promise.resolve({ jobId: request.operationKey });
        },
      },
      resumeUrl: (path) => `https://longhaul.test/v1/resume/${path}`,
      onArrivals(given) {
        listener = given;
        return () => {
          listener = undefined;
        };
      },
      async *readStored(prefix, { top }) {
        read.push(prefix);
        const found = [...store.values()].filter(({ path }) => path.startsWith(prefix));
        const runs = top ? found.filter(({ path }) => !/\[|\]\./.test(path.slice(prefix.length))) : found;
        for (let at = 0; at < runs.length; at += 3) yield runs.slice(at, at + 3).map(storedRun);
      },
      cacheGet: async (key) => cache.get(key)?.value,
      cachePut: async (key, value, ttlMs) => void cache.set(key, { value, ttlMs }),
      ...options.hooks,
    };
    return { outcome: runTask(workflow, factsNow(), hooks), stop: () => controller.abort() };
  }

  return {
    store,
    records,
    requests,
    children,
    /** Functions that were called, by the key of their job. */
    jobs,
    cache,
    clock,
    progress,
    read,
    /** Paths of which something was recorded although a result of theirs was stored. */
    again,
    until,
    run,
    /** Runs to where it must wait or has ended. */
    attempt: () => run().outcome,
    inbox: () => inbox,
    /** What waits for something to arrive, as stored. */
    waiting: () => [...store.values()].filter(({ state, wait }) => state === "waiting" && wait?.kind !== "timer"),
    spent: () => spent,
    /** Something comes for a node, whether anything runs or not. */
    arrive(node: string, payload: Json, by = "") {
      inbox.push({ seq: ++arrivals, node, payload, by });
      listener?.([...inbox]);
    },
    arriveError(node: string, code: string, message: string) {
      inbox.push({ seq: ++arrivals, node, error: { code, message, retryable: false }, by: "" });
      listener?.([...inbox]);
    },
    /** Turns the clock; whoever sleeps until then wakes up. */
    turn(ms: number) {
      clock.ms += ms;
      for (const sleeper of [...sleepers]) {
        if (sleeper.dueMs > clock.ms) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
    /** Stored states by path. */
    states: () => Object.fromEntries([...store.values()].map(({ path, state }) => [path, state])),
  };
}

/** What a later attempt gets of a record. */
export function storedRun(record: NodeRecord): StoredRun {
  const { path, state, outputJson, error, tries, wait, sinceMs, startTimeMs, childTask } = record;
  return {
    path,
    state,
    tries,
    startTimeMs,
    ...(outputJson === undefined ? {} : { output: JSON.parse(outputJson) as Json }),
    ...(error === undefined ? {} : { error }),
    ...(wait === undefined ? {} : { wait }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(childTask === undefined ? {} : { childTask }),
  };
}

function sum(a: Spent | undefined, b: Spent): Spent {
  if (a === undefined) return b;
  return {
    tokens: a.tokens + b.tokens,
    calls: a.calls + b.calls,
    nodeRuns: a.nodeRuns + b.nodeRuns,
    runMs: a.runMs + b.runMs,
  };
}
