import type { Failure, Json, Outbound } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";

/** What is stored of a node from an earlier attempt. */
export interface StoredRun {
  readonly path: string;
  /** `running` means that an attempt began it and did not report its end; any other state is final. */
  readonly state: "running" | "succeeded" | "failed" | "skipped";
  readonly output?: Json;
  /** On a `running` node: how the last try ended, so that this try is over and the next is due. */
  readonly error?: Failure;
  /** Tries begun, as recorded. */
  readonly tries: number;
  readonly startTimeMs?: number;
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
}

/** A node's state as it is to be stored. Several records of one path follow each other; the last one counts. */
export interface NodeRecord {
  readonly path: string;
  readonly kind: string;
  readonly state: "running" | "succeeded" | "failed" | "skipped";
  /** JSON text of the evaluated `with`, for kinds that touch the outside. */
  readonly inputJson?: string;
  readonly outputJson?: string;
  /** Why it failed; on a `running` node, how the last try failed that will be followed by another. */
  readonly error?: Failure;
  /** When the first try of this attempt began, in ms since 1970. */
  readonly startTimeMs: number;
  readonly endTimeMs?: number;
  /** Tries begun so far, those of earlier attempts included; 0 for a skipped node. */
  readonly tries: number;
}

/** What the engine asks of whoever runs it. */
export interface TaskHooks {
  /**
   * Takes records in the order in which they came about. With `barrier` the promise resolves once these and all earlier ones are durably
   * stored, and rejects when they cannot be (then the run ends as `aborted`); without, nothing waits for it.
   */
  record(runs: readonly NodeRecord[], options: { readonly barrier: boolean }): Promise<void> | void;
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
  /** Told of an error that no kind should throw; the node fails with `internal_error`. */
  unexpected?(error: unknown, path: string): void;
}

/** How a run ended. All records were handed over before. */
export type TaskOutcome =
  | { readonly kind: "succeeded"; readonly outputJson: string }
  | { readonly kind: "failed"; readonly error: Failure }
  /** The node is to be tried again after the delay; everything that could go on meanwhile has ended. */
  | { readonly kind: "backoff"; readonly node: string; readonly delayMs: number }
  /** The signal aborted, or a record could not be stored (`cause`). */
  | { readonly kind: "aborted"; readonly cause?: unknown };
