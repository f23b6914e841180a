import { Cron } from "croner";

/** When a schedule comes: by a cron expression in a time zone, or every so often from an anchor. */
export type Timing =
  | { readonly kind: "cron"; readonly cron: string; readonly timeZone: string }
  | { readonly kind: "interval"; readonly intervalMs: number; readonly anchorMs: number };

/** The first `count` times after `afterMs`, in milliseconds since the epoch; fewer, or none, where a cron expression has no more. */
export function timesAfter(timing: Timing, afterMs: number, count: number): readonly number[] {
  if (timing.kind === "cron") return cronOf(timing).nextRuns(count, new Date(afterMs)).map(Number);
  const { intervalMs, anchorMs } = timing;
  const first = anchorMs + Math.max(1, Math.floor((afterMs - anchorMs) / intervalMs) + 1) * intervalMs;
  return Array.from({ length: count }, (_, at) => first + at * intervalMs);
}

/** The last `count` times at or before `untilMs` that come after `afterMs`, oldest first. */
export function timesBetween(timing: Timing, afterMs: number, untilMs: number, count: number): readonly number[] {
  if (timing.kind === "cron") {
    // It answers in the order newest first, and takes whole seconds.
    const before = cronOf(timing).previousRuns(count, new Date((Math.floor(untilMs / 1_000) + 1) * 1_000));
    return before
      .map(Number)
      .filter((at) => at > afterMs && at <= untilMs)
      .sort((a, b) => a - b);
  }
  const { intervalMs, anchorMs } = timing;
  const last = anchorMs + Math.floor((untilMs - anchorMs) / intervalMs) * intervalMs;
  return Array.from({ length: count }, (_, at) => last - (count - 1 - at) * intervalMs).filter(
    (at) => at > afterMs && at > anchorMs,
  );
}

/** What is wrong with a cron expression, or undefined. */
export function cronFault(cron: string): string | undefined {
  try {
    const next = cronOf({ cron, timeZone: "UTC" }).nextRun(new Date(0));
    return next === null ? "The expression names no time that ever comes." : undefined;
  } catch (why) {
    const said = why instanceof Error ? why.message.replace(/^CronPattern: /, "").slice(0, 200) : "it can't be read";
    return `This is not a cron expression of five fields (or six with seconds first): ${said}.`;
  }
}

/** Whether this is the name of a time zone, such as `Europe/Berlin`. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function cronOf({ cron, timeZone }: { readonly cron: string; readonly timeZone: string }): Cron {
  return new Cron(cron, { paused: true, timezone: timeZone, mode: "5-or-6-parts" });
}
