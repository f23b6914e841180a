import { createHash } from "node:crypto";
import { partitionOf, type Resource, type ResourceKey, type TaskId } from "@longhaul/core";
import { type Timing, timesAfter } from "./schedule-times.ts";

export type Overlap = "skip" | "queue" | "cancel_previous";

/** What became of one time of a schedule. */
export interface PastRun {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly taskId: string;
  readonly outcome: "started" | "skipped" | "missed" | "refused";
  readonly reason: string;
}

/** What somebody says about a schedule. */
export interface ScheduleSpec {
  readonly workflow: string;
  /** JSON text. */
  readonly input: string;
  readonly cron?: string;
  readonly timeZone?: string;
  readonly intervalMs?: number;
  readonly overlap: Overlap;
  readonly catchUpMs: number;
  readonly maxCatchUp: number;
  readonly paused: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  /** A webhook as JSON text (url, secret, headers, events), sealed. */
  readonly sealedWebhook?: string;
}

/** A schedule as it lies in its resource. */
export interface ScheduleRecord extends ScheduleSpec {
  /** Times are counted from here: when it was stored or resumed; milliseconds since the epoch. */
  readonly anchorMs: number;
  /** The last time that was looked after. */
  readonly lastMs: number;
  /** The task started last. */
  readonly lastTaskId?: TaskId;
  /** The time whose task waits for the end of the one before; only with overlap `queue`. */
  readonly queuedMs?: number;
  /** Newest first. */
  readonly runs: readonly PastRun[];
}

/** Most runs that are kept. */
export const keptRuns = 10;
/** How often somebody looks whether the task before has ended, should its bell be lost. */
const queueLookMs = 15_000;

export function scheduleKey(project: string, name: string): ResourceKey {
  return { project, kind: "schedule", name };
}

export function recordOf(resource: Resource): ScheduleRecord {
  // Written by `resourceOf` and nobody else.
  const record: ScheduleRecord = JSON.parse(resource.json);
  return record;
}

/** The resource of a record; when it is due follows from it. */
export function resourceOf(
  known: Pick<Resource, "project" | "name" | "uid" | "createTime" | "updateTime">,
  record: ScheduleRecord,
  now: number,
): Resource {
  const wakeAt = dueAt(record, now);
  return {
    project: known.project,
    kind: "schedule",
    name: known.name,
    partition: partitionOf(known.project),
    uid: known.uid,
    createTime: known.createTime,
    updateTime: known.updateTime,
    json: JSON.stringify(record),
    ...(wakeAt === undefined ? {} : { wakeAt }),
  };
}

function dueAt(record: ScheduleRecord, now: number): number | undefined {
  if (record.paused) return undefined;
  const [next] = timesAfter(timingOf(record), record.lastMs, 1);
  if (record.queuedMs === undefined) return next;
  return Math.min(next ?? Number.POSITIVE_INFINITY, now + queueLookMs);
}

export function timingOf({ cron, timeZone, intervalMs, anchorMs }: ScheduleRecord): Timing {
  return cron === undefined
    ? { kind: "interval", intervalMs: intervalMs ?? 60_000, anchorMs }
    : { kind: "cron", cron, timeZone: timeZone ?? "UTC" };
}

/** The task of one time of one schedule: the same whoever starts it, and however often. A UUID of version 8. */
export function taskIdOf(project: string, uid: string, timeMs: number): TaskId {
  const digest = createHash("sha256")
    .update(`longhaul schedule\n${JSON.stringify([project, uid, timeMs])}`)
    .digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString("hex", 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
