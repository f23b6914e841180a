import { CelFault, Duration, Timestamp } from "./cel-value.ts";

const nsPerSecond = 1_000_000_000n;
const nsPerMs = 1_000_000n;
const earliest = BigInt(Date.parse("0001-01-01T00:00:00Z")) * nsPerMs;
const latest = (BigInt(Date.parse("9999-12-31T23:59:59Z")) / 1000n + 1n) * nsPerSecond - 1n;
const longest = 315_576_000_000n * nsPerSecond;

export function inTimestampRange(ns: bigint): Timestamp {
  if (ns < earliest || ns > latest) throw new CelFault("timestamp out of range (years 1 to 9999)");
  return new Timestamp(ns);
}

export function inDurationRange(ns: bigint): Duration {
  if (ns < -longest || ns > longest) throw new CelFault("duration out of range (about 10,000 years)");
  return new Duration(ns);
}

const timestampForm = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;

/** Reads RFC 3339. */
export function parseTimestamp(text: string): Timestamp {
  const match = text.length > 40 ? null : timestampForm.exec(text);
  const ms = match ? Date.parse(`${match[1]}${match[3]}`) : Number.NaN;
  if (!match || Number.isNaN(ms)) throw new CelFault("timestamp() needs a time such as 2026-01-31T12:00:00Z");
  return inTimestampRange(BigInt(ms) * nsPerMs + BigInt((match[2] ?? "").padEnd(9, "0")));
}

const durationUnits: ReadonlyMap<string, number> = new Map([
  ["h", 3_600_000_000_000],
  ["m", 60_000_000_000],
  ["s", 1_000_000_000],
  ["ms", 1_000_000],
  ["us", 1000],
  ["ns", 1],
]);

/** Reads CEL's form: signed decimal numbers with units, such as `1h30m` or `-1.5s`. */
export function parseDuration(text: string): Duration {
  const bad = () => new CelFault("duration() needs a span such as 90s, 1.5h or 1h30m");
  if (text.length > 64 || !/^[+-]?(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+$/.test(text)) throw bad();
  let total = 0n;
  for (const [, whole = "0", fraction = "", unit = ""] of text.matchAll(/(\d+)(?:\.(\d+))?(h|ms|m|s|us|ns)/g)) {
    const size = BigInt(durationUnits.get(unit) ?? 0);
    total += BigInt(whole) * size + (BigInt(fraction === "" ? "0" : fraction) * size) / 10n ** BigInt(fraction.length);
  }
  return inDurationRange(text.startsWith("-") ? -total : total);
}

function fractionText(ns: bigint): string {
  if (ns === 0n) return "";
  return `.${ns
    .toString()
    .padStart(9, "0")
    .replace(/(000)+$/, "")}`;
}

/** RFC 3339 in UTC, with 0, 3, 6 or 9 digits after the point. */
export function timestampText(time: Timestamp): string {
  const fraction = ((time.ns % nsPerSecond) + nsPerSecond) % nsPerSecond;
  const ms = Number((time.ns - fraction) / nsPerMs);
  return `${new Date(ms).toISOString().slice(0, 19)}${fractionText(fraction)}Z`;
}

/** Seconds with their fraction, such as `1.500s`. */
export function durationText(span: Duration): string {
  const ns = span.ns < 0n ? -span.ns : span.ns;
  return `${span.ns < 0n ? "-" : ""}${ns / nsPerSecond}${fractionText(ns % nsPerSecond)}s`;
}

export function timestampOfSeconds(seconds: bigint): Timestamp {
  return inTimestampRange(seconds * nsPerSecond);
}

export function secondsOf(time: Timestamp): bigint {
  const fraction = ((time.ns % nsPerSecond) + nsPerSecond) % nsPerSecond;
  return (time.ns - fraction) / nsPerSecond;
}

export function durationPart(span: Duration, part: "hours" | "minutes" | "seconds" | "milliseconds"): bigint {
  switch (part) {
    case "hours":
      return span.ns / (3600n * nsPerSecond);
    case "minutes":
      return span.ns / (60n * nsPerSecond);
    case "seconds":
      return span.ns / nsPerSecond;
    case "milliseconds":
      return (span.ns % nsPerSecond) / nsPerMs;
  }
}

/** The wall clock of a zone (`UTC`, `+02:00`, `Europe/Berlin`) at that time, as a Date whose UTC fields hold it. */
export function wallClock(time: Timestamp, zone: string | undefined): Date {
  const ms = Number(secondsOf(time)) * 1000 + Number((((time.ns % nsPerSecond) + nsPerSecond) % nsPerSecond) / nsPerMs);
  if (zone === undefined || zone === "UTC") return new Date(ms);
  if (zone.length > 64) throw new CelFault("no such time zone");
  const fixed = /^([+-]?)(\d{2}):(\d{2})$/.exec(zone);
  if (fixed) {
    const offset = (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000;
    return new Date(ms + (fixed[1] === "-" ? -offset : offset));
  }
  return new Date(ms + zoneOffset(ms, zone));
}

function zoneOffset(ms: number, zone: string): number {
  const second = Math.floor(ms / 1000) * 1000;
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      hourCycle: "h23",
      timeZone: zone,
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    const part = new Map(format.formatToParts(second).map(({ type, value }) => [type, Number(value)]));
    const at = (name: Intl.DateTimeFormatPartTypes) => part.get(name) ?? 0;
    return Date.UTC(at("year"), at("month") - 1, at("day"), at("hour"), at("minute"), at("second")) - second;
  } catch (cause) {
    throw new CelFault(`no such time zone: ${zone}`, { cause });
  }
}
