/** The three forms of an HTTP date (RFC 9110, 5.6.7). Date.parse alone would also make dates of garbage. */
const httpDate =
  /^(?:[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4})$/;

const longestMs = 86_400_000;

/**
 * How long the header `retry-after` asks to wait, in milliseconds from `now`: 0 when it is absent, past, negative or not understood, and
 * at most a day.
 */
export function retryAfterMs(header: string | undefined, now: number): number {
  const text = header?.trim() ?? "";
  // A header sent twice comes joined; the first one counts.
  const seconds = /^(\d+(?:\.\d+)?)\s*(?:,|$)/.exec(text)?.[1];
  if (seconds !== undefined) return Math.min(longestMs, Math.ceil(Number(seconds) * 1_000));
  if (!httpDate.test(text)) return 0;
  const time = Date.parse(/GMT$/.test(text) ? text : `${text} GMT`);
  return Number.isNaN(time) ? 0 : Math.min(longestMs, Math.max(0, time - now));
}
