/** `2026-11-21T06:05:36.123Z` as `2026-11-21 06:05:36Z`; anything else as it is. */
export function showTime(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, "$1 $2Z");
}
