import type { Failure, Json, Outbound, Spent, Usage, WaitKind } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import type { NodeServices, NodeWait } from "../kinds/kind.ts";

/** What is stored of a node from an earlier attempt. */
export interface StoredRun {
  readonly path: string;
  /** `running` means that an attempt began it and did not report its end, `waiting` that it waits; any other state is final. */
  readonly state: "running" | "waiting" | "succeeded" | "failed" | "skipped";
  /** Set exactly while it is `waiting`. */
  readonly wait?: NodeWait;
  /** Since when it waits, in ms since 1970. */
  readonly sinceMs?: number;
  readonly output?: Json;
  /**
   * On a `running` node: how the last try ended, so that this try is over and the next is due. On a `succeeded` one: the failure that its
   * `onError` turned into this output.
   */
  readonly error?: Failure;
  /** Tries begun, as recorded. */
  readonly tries: number;
  readonly startTimeMs?: number;
  /** The task that it started. */
  readonly childTask?: string;
}

/** Something that came from outside for a node and is not part of a stored result yet. Exactly one of payload and error is set. */
export interface ArrivalFact {
  /** Counts the arrivals of a task, from 1. */
  readonly seq: number;
  /** Path of the node. */
  readonly node: string;
  readonly payload?: Json;
  readonly error?: Failure;
  /** Who sent it; empty where nobody said. */
  readonly by: string;
}

/** The task to run, and how far it has come. */
export interface TaskFacts {
  /** Id of the logical attempt: a retry is a task of its own, and its calls to the outside have other operation keys. */
  readonly taskId: string;
  readonly input: Json;
  /** What expressions see as `task`: `{ id, workflow, revision, createTime, labels, priority }`, the same in every attempt. */
  readonly task: JsonObject;
  /** Node runs of earlier attempts, or of the task that this one retries. */
  readonly stored: readonly StoredRun[];
  /** True when `stored` lacks runs inside of `foreach` nodes: then `hooks.readStored` gives them. */
  readonly hasMoreStored?: boolean;
  /** What arrived and is not consumed, the oldest first; none if not given. */
  readonly arrivals?: readonly ArrivalFact[];
  /** What earlier attempts of the task used up; nothing if not given. */
  readonly spent?: Spent;
}

/** A node's state as it is to be stored. Several records of one path follow each other; the last one counts. */
export interface NodeRecord {
  readonly path: string;
  readonly kind: string;
  readonly state: "running" | "waiting" | "succeeded" | "failed" | "skipped";
  /** JSON text of the evaluated `with`, for kinds that touch the outside, as it may be shown. */
  readonly inputJson?: string;
  readonly outputJson?: string;
  /**
   * Why it failed; on a `running` or `waiting` node, how the last try failed that will be followed by another; on a `succeeded` one, the
   * failure that its `onError` turned into this output.
   */
  readonly error?: Failure;
  /** Set exactly when it is `waiting`, with `sinceMs`. */
  readonly wait?: NodeWait;
  /** Since when it waits, in ms since 1970. */
  readonly sinceMs?: number;
  /** What its calls to models took in this attempt. */
  readonly usage?: Usage;
  /** Lines that it wrote in this attempt, at most 64 KiB as JSON. */
  readonly log?: readonly LogLine[];
  /** The task that it started. */
  readonly childTask?: string;
  /** Input and output are to be stored sealed and shown to nobody. */
  readonly secret?: true;
  /** When the first try of this attempt began, in ms since 1970. */
  readonly startTimeMs: number;
  readonly endTimeMs?: number;
  /** Tries begun so far, those of earlier attempts included; 0 for a skipped node. */
  readonly tries: number;
}

/** One line that a node wrote. */
export interface LogLine {
  readonly atMs: number;
  readonly line: string;
}

/** How records are to be taken, and what goes along with them. */
export interface RecordOptions {
  /** The promise must resolve only once everything handed over so far is durably stored. */
  readonly barrier: boolean;
  /** Sequence numbers of arrivals whose effect is in these records: stored together with them, they leave the inbox. */
  readonly consumed: readonly number[];
  /**
   * What was spent since the last time, to be added up; absent for nothing. Given for tasks that call the outside or have ceilings, so that a
   * task that does neither pays nothing for it.
   */
  readonly spent?: Spent;
}

/** What the engine asks of whoever runs it. */
export interface TaskHooks {
  /**
   * Takes records in the order in which they came about. With `barrier` the promise resolves once these and all earlier ones are durably
   * stored, and rejects when they cannot be (then the run ends as `aborted`); without, nothing waits for it. There may be no runs where
   * something was consumed or spent.
   */
  record(runs: readonly NodeRecord[], options: RecordOptions): Promise<void> | void;
  /** Live progress of a node, which may be dropped. */
  progress(path: string, delta: Json): void;
  /** Ends the run at once: cancel, a lost lease, or a drain. */
  readonly signal: AbortSignal;
  readonly outbound: Outbound;
  /** Wall clock, ms since 1970. */
  now(): number;
  /** Resolves after `ms`; rejects, or never settles, when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** A number in [0, 1), for jitter. */
  random(): number;
  /** A retry delay longer than this ends the run with `backoff`, so that nothing is held meanwhile; 10,000 if not given. */
  readonly maxHoldMs?: number;
  /** Nodes side by side; 16 if not given. */
  readonly concurrency?: number;
  /**
   * Values of the project's secrets; those that do not exist are absent. Asked once, at the start, for the names that the workflow mentions.
   * Without it there are none.
   */
  secrets?(names: readonly string[]): Promise<Readonly<Record<string, string>>>;
  /** Without it every one of its services fails with `not_available`. */
  readonly services?: NodeServices;
  /** Signed URL whose use is an arrival for the node. */
  resumeUrl?(path: string): string;
  /**
   * Calls the listener with what arrives while the task runs, until the function it answers is called. The listener takes the whole inbox as
   * well: it knows what it has seen.
   */
  onArrivals?(listener: (arrivals: readonly ArrivalFact[]) => void): () => void;
  /**
   * Node runs stored under a prefix such as `each[`, page by page; `top` leaves out those deeper down: with `each[` it gives `each[3]` and not
   * `each[3].call`. Asked only where `facts.hasMoreStored`.
   */
  readStored?(prefix: string, options: { readonly top: boolean }): AsyncIterable<readonly StoredRun[]>;
  /** A store of results by key (64 hex digits), within the project. Without the two `cache` does nothing; rejections count as a miss. */
  cacheGet?(key: string): Promise<Json | undefined>;
  cachePut?(key: string, value: Json, ttlMs: number): Promise<void>;
  /** Told of an error that no kind should throw; the node fails with `internal_error`. */
  unexpected?(error: unknown, path: string): void;
}

/** A node that waits, as the task says it. */
export interface NodeWaitFact {
  readonly kind: WaitKind;
  /** Path of the node. */
  readonly node: string;
  readonly sinceMs: number;
  /** When it goes on at the latest; absent when only an arrival lets it. */
  readonly untilMs?: number;
  /** Name of the signal. */
  readonly name?: string;
  /** One sentence for people. */
  readonly reason: string;
}

/** How a run ended. All records were handed over before. */
export type TaskOutcome =
  | { readonly kind: "succeeded"; readonly outputJson: string }
  | { readonly kind: "failed"; readonly error: Failure }
  /** The node is to be tried again after the delay; everything that could go on meanwhile has ended. */
  | { readonly kind: "backoff"; readonly node: string; readonly delayMs: number }
  /** Nothing can go on before a time has come or something arrives. */
  | {
      readonly kind: "wait";
      /** The soonest first, those without a time last; at most 100. */
      readonly waits: readonly NodeWaitFact[];
      /** How many nodes wait in all. */
      readonly waitCount: number;
      /** Sequence number of the last arrival that was looked at; 0 for none. */
      readonly seen: number;
    }
  /** The signal aborted, or a record could not be stored (`cause`). */
  | { readonly kind: "aborted"; readonly cause?: unknown };
