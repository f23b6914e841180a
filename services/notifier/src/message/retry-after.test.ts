import { expect, test } from "vitest";
import { retryAfterMs } from "./retry-after.ts";

const now = Date.parse("2026-11-21T10:00:00Z");
const day = 86_400_000;

test.each([
  ["120", 120_000],
  [" 7 ", 7_000],
  ["0", 0],
  ["1.5", 1_500],
  ["30, 60", 30_000],
  ["Sat, 21 Nov 2026 10:00:30 GMT", 30_000],
  ["Saturday, 21-Nov-26 10:00:30 GMT", 30_000],
  ["Sat Nov 21 10:00:30 2026", 30_000],
  ["Sat, 21 Nov 2026 09:00:00 GMT", 0],
  ["Sun, 21 Nov 2032 10:00:00 GMT", day],
  ["99999999999999999999", day],
  ["-5", 0],
  ["soon", 0],
  ["", 0],
  ["2026-11-21T10:00:30Z", 0],
  ["1e9", 0],
  ["0x10", 0],
  ["Sat, 99 Nov 2026 10:00:30 GMT", 0],
  ["NaN", 0],
  [`${"9".repeat(5_000)}x`, 0],
])("%j asks for %i ms", (header, expected) => {
  expect(retryAfterMs(header, now)).toBe(expected);
});

test("no header asks for nothing", () => {
  expect(retryAfterMs(undefined, now)).toBe(0);
});
