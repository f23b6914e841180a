import type { ClaimedTask } from "@longhaul/proto/execution_service";

/** Why a run was stopped from outside. */
export type StopReason = "cancelled" | "lost" | "lease-ended" | "draining";

/** A task that this process holds. */
export interface Hold {
  readonly task: ClaimedTask;
  readonly abort: AbortController;
  /** Own monotonic clock: until when the lease surely lasts, counted from when the last call that succeeded was sent. */
  leaseUntil: number;
  /** Own monotonic clock: when that call was sent. */
  provenAt: number;
  stopped: StopReason | undefined;
}

export function stopHold(hold: Hold, why: StopReason): void {
  if (hold.stopped !== undefined) return;
  hold.stopped = why;
  hold.abort.abort(new Error(`the task was stopped: ${why}`));
}
