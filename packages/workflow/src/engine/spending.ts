import type { Spent, Usage } from "@longhaul/core";
import type { WorkflowLimits } from "../definition/compiled-workflow.ts";

const nothing: Spent = { tokens: 0, calls: 0, nodeRuns: 0, runMs: 0 };

/** Counts what a task uses up, for its ceilings and for whoever adds it up. */
export class Spending {
  /** Node runs that ended in this attempt, skipped ones not. */
  nodeRuns = 0;
  private tokens = 0;
  private calls = 0;
  private handed: Spent = nothing;
  private readonly before: Spent;
  private readonly limits: WorkflowLimits;
  private readonly startMs: number;
  /** True where the workflow bounds what a task may use up. */
  readonly hasCeilings: boolean;

  constructor(limits: WorkflowLimits, before: Spent | undefined, nowMs: number) {
    this.limits = limits;
    this.before = before ?? nothing;
    this.startMs = nowMs;
    const { tokens, calls, nodeRuns, wallTimeMs } = limits;
    this.hasCeilings = tokens !== undefined || calls !== undefined || nodeRuns !== undefined || wallTimeMs !== undefined;
  }

  /** True for a task that calls the outside or has ceilings; of others nobody counts anything. */
  get isCounted(): boolean {
    return this.handed !== nothing || this.calls > 0 || this.tokens > 0 || this.hasCeilings;
  }

  call(): void {
    this.calls++;
  }

  /** The last call was not made after all. Where it was handed on already, what is handed on next is one less than nothing. */
  takeBack(): void {
    this.calls--;
  }

  use({ totalTokens }: Usage): void {
    this.tokens += totalTokens;
  }

  /** What was spent since this was asked last; undefined for a task that is not counted. */
  take(nowMs: number): Spent | undefined {
    if (!this.isCounted) return undefined;
    const all = this.sum(nothing, nowMs);
    const { handed } = this;
    this.handed = all;
    return {
      tokens: all.tokens - handed.tokens,
      calls: all.calls - handed.calls,
      nodeRuns: all.nodeRuns - handed.nodeRuns,
      runMs: all.runMs - handed.runMs,
    };
  }

  /** Which ceiling is reached, as a sentence; undefined while none is. Each grant allows as much again. */
  exceeded(nowMs: number, grants: number): string | undefined {
    if (!this.hasCeilings) return undefined;
    const { tokens, calls, nodeRuns, wallTimeMs } = this.limits;
    const spent = this.sum(this.before, nowMs);
    const over = (most: number | undefined, used: number) => most !== undefined && used >= most * (grants + 1);
    if (over(tokens, spent.tokens)) return `the task has used ${spent.tokens} tokens of ${(tokens ?? 0) * (grants + 1)}`;
    if (over(calls, spent.calls)) return `the task has made ${spent.calls} calls of ${(calls ?? 0) * (grants + 1)}`;
    if (over(nodeRuns, spent.nodeRuns)) return `the task has run ${spent.nodeRuns} nodes of ${(nodeRuns ?? 0) * (grants + 1)}`;
    if (over(wallTimeMs, spent.runMs)) return `the task has run for ${spent.runMs} ms of ${(wallTimeMs ?? 0) * (grants + 1)} ms`;
    return undefined;
  }

  private sum(before: Spent, nowMs: number): Spent {
    return {
      tokens: before.tokens + this.tokens,
      calls: before.calls + this.calls,
      nodeRuns: before.nodeRuns + this.nodeRuns,
      runMs: before.runMs + Math.max(0, nowMs - this.startMs),
    };
  }
}
