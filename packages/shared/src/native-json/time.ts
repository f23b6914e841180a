import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** RFC 3339 in UTC with milliseconds: `2026-11-21T01:02:03.000Z`. */
export function timestampText({ seconds, nanos }: Timestamp): string {
  return new Date(Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000)).toISOString();
}

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

/** The time that an RFC 3339 text names; undefined when it names none. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const parts = rfc3339.exec(text);
  if (!parts) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", zone = "Z"] = parts;
  const whole = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const ms = Date.parse(`${whole}${zone.toUpperCase()}`);
  // Date.parse lets some days that do not exist roll over, such as 30 February.
  const isReal =
    Number(day) <= new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate() && year !== "0000" && hour !== "24";
  if (Number.isNaN(ms) || !isReal) return undefined;
  return create(TimestampSchema, { seconds: BigInt(Math.floor(ms / 1_000)), nanos: Number(fraction.padEnd(9, "0")) });
}

/** Seconds with a fraction of 0, 3, 6 or 9 digits: `1.500s`, `2s`. */
export function durationText({ seconds, nanos }: Duration): string {
  const sign = seconds < 0n || nanos < 0 ? "-" : "";
  const whole = `${sign}${seconds < 0n ? -seconds : seconds}`;
  if (nanos === 0) return `${whole}s`;
  const digits = String(Math.abs(nanos)).padStart(9, "0");
  return `${whole}.${digits.replace(/(?:000){1,2}$/, "")}s`;
}

/** The duration that a text such as `1.5s` names; undefined when it names none. At most 10,000 years. */
export function parseDuration(text: string): Duration | undefined {
  const parts = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text);
  if (!parts) return undefined;
  const [, sign, whole = "", fraction = ""] = parts;
  const seconds = BigInt(whole);
  const nanos = Number(fraction.padEnd(9, "0"));
  if (seconds > 315_576_000_000n) return undefined;
  return create(DurationSchema, sign === "-" ? { seconds: -seconds, nanos: nanos === 0 ? 0 : -nanos } : { seconds, nanos });
}
