import type { Json } from "../api/json.ts";

/** What a function gets beside its input. */
export interface JobContext {
  /** UUID of the job, the same whenever it is done again: what to give to others as an idempotency key. */
  readonly id: string;
  readonly taskId: string;
  /** Path of the node in the task. */
  readonly node: string;
  readonly function: string;
  /** Which time this is that a worker has the job, from 1. */
  readonly tries: number;
  /** When nobody waits for it any more. */
  readonly deadline: Date;
  /** Aborts when the task was cancelled, the lease was lost, or the worker stops: nobody wants the answer any more. */
  readonly signal: AbortSignal;
  /** Shows something to whoever watches the task. May be dropped. */
  progress(delta: Json): void;
  /** Adds a line to the log of the node. */
  log(line: string): void;
}

/**
 * Does the work. What it answers is the output of the node (undefined is null). A JobError says how the node fails; any other error fails it as
 * `function_failed`, to be tried again where the node's `retry` says so.
 */
export type FunctionHandler = (input: Json, context: JobContext) => Json | undefined | Promise<Json | undefined>;

export interface ServedFunction {
  readonly handler: FunctionHandler;
  /** Jobs side by side, 1 to 100; default 1. */
  readonly concurrency?: number;
}
