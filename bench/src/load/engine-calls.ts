import type { EngineWorkload } from "../engine-workload.ts";

export interface ListsAsk {
  readonly base: string;
  /** Tasks, one after the other. */
  readonly tasks: number;
  /** Of each task. */
  readonly items: number;
}

export interface CodeAsk {
  readonly base: string;
  readonly tasks: number;
  readonly inFlight: number;
}

export interface Rate {
  /** From the first submit to the last end, by the tasks' own times. */
  readonly tasksPerSecond: number;
}

export interface WaitAsk {
  readonly base: string;
  readonly tasks: number;
  readonly inFlight: number;
  /** From now until the first timer comes due. */
  readonly leadMs: number;
  /** Timers that come due in a second. */
  readonly perSecond: number;
}

export interface WaitingAnswer {
  /** Tasks that waited, at the same time, before the first timer came due. */
  readonly waiting: number;
  /** From the first submit until then. */
  readonly tookMs: number;
}

/** Milliseconds from when a timer came due to the end of its node run. */
export interface WokenAnswer {
  readonly lateP50Ms: number;
  readonly lateP99Ms: number;
}

/** What the engine's load generator can be asked. Each checks every result and rejects when one is wrong. */
export type EngineCalls = {
  readonly define: { readonly ask: { readonly base: string; readonly workload: EngineWorkload }; readonly answer: null };
  readonly lists: { readonly ask: ListsAsk; readonly answer: Rate };
  readonly code: { readonly ask: CodeAsk; readonly answer: Rate };
  /** Answers when all of them wait, or the first timer comes due. */
  readonly wait: { readonly ask: WaitAsk; readonly answer: WaitingAnswer };
  /** Answers when all that wait have ended. */
  readonly woken: { readonly ask: { readonly base: string }; readonly answer: WokenAnswer };
};
