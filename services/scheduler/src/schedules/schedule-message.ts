import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Resource } from "@longhaul/core";
import { type Schedule, ScheduleOverlap, ScheduleRunSchema, ScheduleSchema } from "@longhaul/proto/schedule_service";
import { type Webhook, WebhookSchema } from "@longhaul/proto/task";
import { type SecretBox, valueFromJson } from "@longhaul/shared";
import { type Overlap, recordOf, timingOf } from "./schedule-record.ts";
import { timesAfter } from "./schedule-times.ts";

const overlaps = {
  skip: ScheduleOverlap.SKIP,
  queue: ScheduleOverlap.QUEUE,
  cancel_previous: ScheduleOverlap.CANCEL_PREVIOUS,
} as const satisfies Record<Overlap, ScheduleOverlap>;

const shownTimes = 5;

/** A schedule as callers see it: of its webhook neither secret nor header values. */
export function scheduleMessage(resource: Resource, box: SecretBox, now: number): Schedule {
  const record = recordOf(resource);
  const next = record.paused ? [] : timesAfter(timingOf(record), Math.max(now, record.lastMs), shownTimes);
  return create(ScheduleSchema, {
    name: resource.name,
    workflow: record.workflow,
    input: valueFromJson(JSON.parse(record.input)),
    cron: record.cron ?? "",
    timeZone: record.timeZone ?? "",
    ...(record.intervalMs === undefined ? {} : { interval: durationFromMs(record.intervalMs) }),
    overlap: overlaps[record.overlap],
    catchUp: durationFromMs(record.catchUpMs),
    maxCatchUp: record.maxCatchUp,
    paused: record.paused,
    labels: { ...record.labels },
    priority: record.priority,
    ...(record.sealedWebhook === undefined ? {} : { webhook: shownWebhook(openedWebhook(record.sealedWebhook, box)) }),
    nextTimes: next.map(timestampFromMs),
    lastRuns: record.runs.map(({ time, taskId, outcome, reason }) =>
      create(ScheduleRunSchema, { time: timestampFromMs(time), taskId, outcome, reason }),
    ),
    createTime: timestampFromMs(resource.createTime),
    updateTime: timestampFromMs(resource.updateTime),
  });
}

/** The webhook of a schedule, secret and all, for its tasks. */
export function openedWebhook(sealed: string, box: SecretBox): Webhook {
  // Sealed by checkSchedule and nobody else.
  const { url, secret, headers, events }: Pick<Webhook, "url" | "secret" | "headers" | "events"> = JSON.parse(box.open(sealed));
  return create(WebhookSchema, { url, secret, headers, events });
}

function shownWebhook({ url, events }: Webhook): Webhook {
  return create(WebhookSchema, { url, events });
}
