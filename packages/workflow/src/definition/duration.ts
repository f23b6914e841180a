const unitMs: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** Pattern of a duration in a definition: `250ms`, `30s`, `5m`, `2h`, `1d`. */
export const durationPattern = "^[0-9]{1,9}(ms|s|m|h|d)$";
const form = new RegExp(durationPattern);

/** Longest duration that a definition may name: 366 days. */
export const longestMs = 366 * 86_400_000;

/** Milliseconds of a duration such as `250ms`, `30s`, `2h` or `1d`; undefined where the text is none or means more than 366 days. */
export function durationMs(text: string): number | undefined {
  const unit = form.exec(text)?.[1];
  if (unit === undefined) return undefined;
  const ms = Number(text.slice(0, -unit.length)) * (unitMs.get(unit) ?? Number.NaN);
  return ms <= longestMs ? ms : undefined;
}
