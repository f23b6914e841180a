import type { TaskId } from "@longhaul/core";
import { keptRuns, type PastRun, type ScheduleRecord, timingOf } from "./schedule-record.ts";
import { timesBetween } from "./schedule-times.ts";

/** What a schedule does to tasks. */
export interface ScheduleActions {
  /** Starts the task of a time, or finds it started; refused with a sentence. Rejects when nothing is known of it. */
  start(timeMs: number): Promise<{ readonly taskId: TaskId } | { readonly refused: string }>;
  /** Whether a task has not ended yet. */
  isLive(taskId: TaskId): Promise<boolean>;
  cancel(taskId: TaskId): Promise<void>;
}

/**
 * Looks after every time that has come by `now`: what is not too old is started, oldest first, as the overlap policy allows. Doing it again
 * from the same record, after a crash or beside another scheduler, starts no task twice, because a time has one task id.
 */
export async function runSchedule(record: ScheduleRecord, now: number, actions: ScheduleActions): Promise<ScheduleRecord> {
  const { catchUpMs, maxCatchUp } = record;
  const due = timesBetween(timingOf(record), record.lastMs, now, maxCatchUp + 1);
  const inTime = due.filter((time) => now - time <= catchUpMs).slice(-maxCatchUp);
  // The latest one is never too old: somebody may have been away for a moment longer than the next time is off.
  const kept = inTime.length > 0 ? inTime : due.slice(-1);
  const missed = due.filter((time) => !kept.includes(time));
  let next: ScheduleRecord = { ...record, lastMs: due.at(-1) ?? record.lastMs };
  for (const time of missed) next = withRun(next, { time, taskId: "", outcome: "missed", reason: "Nobody was there in time." });
  if (next.queuedMs !== undefined) next = await runQueued(next, actions);
  for (const time of kept) next = await runTime(next, time, actions);
  return next;
}

async function runTime(record: ScheduleRecord, time: number, actions: ScheduleActions): Promise<ScheduleRecord> {
  const { lastTaskId, overlap } = record;
  const busy = lastTaskId !== undefined && (await actions.isLive(lastTaskId));
  if (busy || record.queuedMs !== undefined) {
    if (overlap === "skip") return withRun(record, skipped(time, "The task of the time before is still under way."));
    if (overlap === "queue") {
      if (record.queuedMs === undefined) return { ...record, queuedMs: time };
      return withRun(record, skipped(time, "Another time waits already for the task before it to end."));
    }
    if (lastTaskId !== undefined) await actions.cancel(lastTaskId);
  }
  return await startTime(record, time, actions);
}

async function runQueued(record: ScheduleRecord, actions: ScheduleActions): Promise<ScheduleRecord> {
  const { queuedMs: time, ...rest } = record;
  if (time === undefined) return record;
  if (record.lastTaskId !== undefined && (await actions.isLive(record.lastTaskId))) return record;
  return await startTime(rest, time, actions);
}

async function startTime(record: ScheduleRecord, time: number, actions: ScheduleActions): Promise<ScheduleRecord> {
  const started = await actions.start(time);
  if ("refused" in started) return withRun(record, { time, taskId: "", outcome: "refused", reason: started.refused });
  const { taskId } = started;
  return { ...withRun(record, { time, taskId, outcome: "started", reason: "" }), lastTaskId: taskId };
}

function skipped(time: number, reason: string): PastRun {
  return { time, taskId: "", outcome: "skipped", reason };
}

export function withRun(record: ScheduleRecord, run: PastRun): ScheduleRecord {
  return { ...record, runs: [run, ...record.runs].slice(0, keptRuns) };
}
