import { InvalidArgumentError } from "commander";

// What commander calls with the text of an option; a refusal becomes a usage error that names the option.

/** Collects an option that may be given several times, each with several values between commas. */
export function listOption(text: string, before: readonly string[] | undefined): readonly string[] {
  return [
    ...(before ?? []),
    ...text
      .split(",")
      .map((one) => one.trim())
      .filter((one) => one !== ""),
  ];
}

/** Collects `key=value`. */
export function pairOption(text: string, before: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const cut = text.indexOf("=");
  if (cut < 1) throw new InvalidArgumentError("It must be key=value.");
  return { ...before, [text.slice(0, cut)]: text.slice(cut + 1) };
}

/** A whole number between two bounds. */
export function intOption(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration such as `500ms`, `30s`, `5m`, `2h` or `1d`, in milliseconds. */
export function durationOption(text: string): number {
  const [, count = "", unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const unitMs = unitsMs[unit];
  if (unitMs === undefined) throw new InvalidArgumentError("It must be a whole number and a unit: 500ms, 30s, 5m, 2h or 1d.");
  return Number(count) * unitMs;
}

/** Milliseconds as the API writes durations: seconds with `s`. */
export function apiDuration(ms: number): string {
  return `${ms / 1_000}s`;
}
