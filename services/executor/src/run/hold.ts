import { create } from "@bufbuild/protobuf";
import { type ClaimedTask, type Hold as HoldMessage, HoldSchema } from "@longhaul/proto/execution_service";
import type { Inbox } from "./inbox.ts";

/** Why a run was stopped from outside. */
export type StopReason = "cancelled" | "lost" | "lease-ended" | "draining";

/** A task that this process holds. */
export interface Hold {
  readonly task: ClaimedTask;
  readonly abort: AbortController;
  readonly inbox: Inbox;
  /** Own monotonic clock: until when the lease surely lasts, counted from when the last call that succeeded was sent. */
  leaseUntil: number;
  /** Own monotonic clock: when that call was sent. */
  provenAt: number;
  /** Scheduler's clock less ours when it was claimed, in milliseconds: times that a task waits for are the scheduler's. */
  readonly clockAheadMs: number;
  stopped: StopReason | undefined;
}

export function stopHold(hold: Hold, why: StopReason): void {
  if (hold.stopped !== undefined) return;
  hold.stopped = why;
  hold.abort.abort(new Error(`the task was stopped: ${why}`));
}

/** A hold as it is named to the scheduler. */
export function holdMessage({ task: { taskId, attempt, project } }: Hold): HoldMessage {
  return create(HoldSchema, { taskId, attempt, project });
}
