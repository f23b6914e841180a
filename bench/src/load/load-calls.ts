import type { WorkflowName } from "../workload.ts";

export interface RunAsk {
  readonly base: string;
  readonly workflow: WorkflowName;
  readonly tasks: number;
  readonly inFlight: number;
  /** Whether tasks run to an end at all; a bare server only accepts them. */
  readonly ends: boolean;
}

export interface RunAnswer {
  readonly acceptedPerSecond: number;
  /** Milliseconds from sending a submit to the end of its answer. */
  readonly submitP50Ms: number;
  readonly submitP99Ms: number;
  /** Time of this machine at the first submit. */
  readonly startedAt: number;
  /** CPU of the load generator itself while submitting. */
  readonly loadCpuMs: number;
  readonly elapsedMs: number;
}

export interface SteadyAsk {
  readonly base: string;
  readonly workflow: WorkflowName;
  readonly perSecond: number;
  readonly count: number;
}

export interface SteadyAnswer {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How late the generator itself was at worst; what it adds is not in the times above. */
  readonly worstLagMs: number;
}

/** What was stored for the tasks of the last run. */
export interface VerifyAnswer {
  /** From the first submit to the last end, by the tasks' own times. */
  readonly completedPerSecond: number;
  readonly verified: number;
}

/** What the load generator can be asked. */
export type LoadCalls = {
  readonly define: { readonly ask: { readonly base: string }; readonly answer: null };
  readonly run: { readonly ask: RunAsk; readonly answer: RunAnswer };
  readonly verify: { readonly ask: { readonly base: string }; readonly answer: VerifyAnswer };
  readonly steady: { readonly ask: SteadyAsk; readonly answer: SteadyAnswer };
};
