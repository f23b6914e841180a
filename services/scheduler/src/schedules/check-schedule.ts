import { durationMs } from "@bufbuild/protobuf/wkt";
import { type FieldFault, LonghaulError } from "@longhaul/core";
import { type Schedule, ScheduleOverlap } from "@longhaul/proto/schedule_service";
import { type SecretBox, valueToJson } from "@longhaul/shared";
import { checkLabelsAndPriority, checkWebhook } from "../tasks/check-submission.ts";
import type { Catalog } from "../workflows/catalog.ts";
import type { Overlap, ScheduleSpec } from "./schedule-record.ts";
import { cronFault, isTimeZone } from "./schedule-times.ts";

export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** A schedule lies in one small record. */
const maxInputBytes = 32_768;
const longestMs = 366 * 86_400_000;
const mostCatchUp = 100;

const overlaps = new Map<ScheduleOverlap, Overlap>([
  [ScheduleOverlap.UNSPECIFIED, "skip"],
  [ScheduleOverlap.SKIP, "skip"],
  [ScheduleOverlap.QUEUE, "queue"],
  [ScheduleOverlap.CANCEL_PREVIOUS, "cancel_previous"],
]);

/** What somebody says about a schedule, checked as a whole; its tasks would be accepted as things stand. Rejects with every fault. */
export async function checkSchedule(
  deps: { readonly catalog: Pick<Catalog, "resolve">; readonly box: SecretBox },
  project: string,
  schedule: Schedule,
): Promise<ScheduleSpec> {
  const faults: FieldFault[] = [];
  const fault = (pointer: string, message: string): void => void faults.push({ pointer, message });
  if (!namePattern.test(schedule.name)) fault("/name", `A name is 1 to 128 of A-Z, a-z, 0-9, ".", "_" and "-".`);
  checkTiming(schedule, fault);

  const catchUpMs = schedule.catchUp === undefined ? 0 : durationMs(schedule.catchUp);
  if (catchUpMs < 0 || catchUpMs > longestMs) fault("/catchUp", "Between 0s and 366 days.");
  const { maxCatchUp } = schedule;
  if (maxCatchUp < 0 || maxCatchUp > mostCatchUp) fault("/maxCatchUp", `Between 1 and ${mostCatchUp}, or 0 for 10.`);
  faults.push(...checkLabelsAndPriority({ ...schedule.labels, schedule: schedule.name }, schedule.priority));
  const { webhook } = schedule;
  if (webhook !== undefined) faults.push(...checkWebhook(webhook, deps.box).faults);
  const input = JSON.stringify(schedule.input === undefined ? null : valueToJson(schedule.input));
  if (Buffer.byteLength(input) > maxInputBytes) fault("/input", `A schedule's input has at most ${maxInputBytes} bytes of JSON.`);
  if (!overlaps.has(schedule.overlap)) fault("/overlap", "Use skip, queue or cancel_previous.");
  if (schedule.workflow === "") fault("/workflow", "is required");
  if (faults.length > 0)
    throw new LonghaulError("invalid_argument", faults[0]?.message ?? "The schedule is not valid.", { faults });

  const { compiled } = await deps.catalog.resolve(project, schedule.workflow, 0);
  const wrong = compiled.validateInput(JSON.parse(input));
  if (wrong.length > 0) {
    throw new LonghaulError("invalid_input", `The input does not fit the workflow's schema: ${wrong[0]?.message ?? ""}`, {
      faults: wrong,
    });
  }
  const { interval, cron, timeZone } = schedule;
  return {
    workflow: schedule.workflow,
    input,
    ...(interval === undefined ? { cron, timeZone: timeZone === "" ? "UTC" : timeZone } : { intervalMs: durationMs(interval) }),
    overlap: overlaps.get(schedule.overlap) ?? "skip",
    catchUpMs,
    maxCatchUp: maxCatchUp === 0 ? 10 : maxCatchUp,
    paused: schedule.paused,
    labels: { ...schedule.labels },
    priority: schedule.priority,
    ...(webhook === undefined
      ? {}
      : {
          sealedWebhook: deps.box.seal(
            JSON.stringify({ url: webhook.url, secret: webhook.secret, headers: webhook.headers, events: webhook.events }),
          ),
        }),
  };
}

function checkTiming(schedule: Schedule, fault: (pointer: string, message: string) => void): void {
  const { cron, interval, timeZone } = schedule;
  if (cron === "" && interval === undefined) fault("/cron", 'Say when: cron, such as "0 3 * * *", or interval, such as "15m".');
  if (cron !== "" && interval !== undefined) fault("/interval", "Give cron or interval, not both.");
  if (cron !== "") {
    const wrong = cron.length > 256 ? "A cron expression has at most 256 characters." : cronFault(cron);
    if (wrong !== undefined) fault("/cron", wrong);
    if (timeZone !== "" && !isTimeZone(timeZone))
      fault("/timeZone", "There is no such time zone; use a name such as Europe/Berlin.");
  } else if (timeZone !== "") {
    fault("/timeZone", "A time zone goes with cron only: an interval is the same everywhere.");
  }
  if (interval !== undefined) {
    const ms = durationMs(interval);
    if (ms < 1_000 || ms > longestMs) fault("/interval", "Between 1s and 366 days.");
  }
}
