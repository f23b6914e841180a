import fc from "fast-check";
import { expect, test } from "vitest";
import { decideRetry, type RetryRule } from "./backoff.ts";

const rule: RetryRule = { attempts: 4, delayMs: 1_000, factor: 2, maxMs: 3_000, jitter: 0 };
const dayMs = 86_400_000;

test("waits grow by the factor up to the longest and end with the last attempt", () => {
  expect([1, 2, 3, 4, 5].map((made) => decideRetry(rule, made, 0))).toStrictEqual([
    { again: true, delayMs: 1_000 },
    { again: true, delayMs: 2_000 },
    { again: true, delayMs: 3_000 },
    { again: false },
    { again: false },
  ]);
});
test("one attempt in all means never again", () => {
  expect(decideRetry({ ...rule, attempts: 1 }, 1, 0)).toStrictEqual({ again: false });
});
test("before any attempt was made the first wait holds", () => {
  expect(decideRetry(rule, 0, 0)).toStrictEqual({ again: true, delayMs: 1_000 });
});
test("jitter takes off its share and no more", () => {
  expect(decideRetry({ ...rule, jitter: 0.2 }, 1, 0.5)).toStrictEqual({ again: true, delayMs: 900 });
  expect(decideRetry({ ...rule, jitter: 1 }, 1, 0.999)).toStrictEqual({ again: true, delayMs: 1 });
});
test("a rule without a wait goes on at once", () => {
  expect(decideRetry({ ...rule, delayMs: 0 }, 3, 0)).toStrictEqual({ again: true, delayMs: 0 });
});
test("what the other side asks for is a lower bound, itself bounded by a day", () => {
  expect(decideRetry(rule, 1, 0, 9_000)).toStrictEqual({ again: true, delayMs: 9_000 });
  expect(decideRetry(rule, 1, 0, 10)).toStrictEqual({ again: true, delayMs: 1_000 });
  expect(decideRetry(rule, 1, 0, 10 * dayMs)).toStrictEqual({ again: true, delayMs: dayMs });
});
test("asking for a wait does not grant another attempt", () => {
  expect(decideRetry(rule, 4, 0, 9_000)).toStrictEqual({ again: false });
});

test("no rule and no count gives a wait that is not a whole number between 0 and its bounds", () => {
  const rules = fc.record({
    attempts: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constant(Number.MAX_SAFE_INTEGER)),
    delayMs: fc.integer({ min: 0, max: dayMs }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    maxMs: fc.integer({ min: 0, max: dayMs }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const made = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 1_000_000 }));
  fc.assert(
    fc.property(rules, made, random, fc.integer({ min: 0, max: 3 * dayMs }), (any, count, dice, asked) => {
      const decision = decideRetry(any, count, dice, asked);
      expect(decision.again).toBe(count < any.attempts);
      if (!decision.again) return;
      expect(Number.isInteger(decision.delayMs)).toBe(true);
      expect(decision.delayMs).toBeGreaterThanOrEqual(Math.min(asked, dayMs));
      expect(decision.delayMs).toBeLessThanOrEqual(Math.max(any.maxMs, Math.min(asked, dayMs)));
    }),
    { numRuns: 2_000 },
  );
});
test("without jitter a later wait is never shorter than an earlier one", () => {
  const rules = fc.record({
    attempts: fc.constant(Number.MAX_SAFE_INTEGER),
    delayMs: fc.integer({ min: 0, max: dayMs }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    maxMs: fc.integer({ min: 0, max: dayMs }),
    jitter: fc.constant(0),
  });
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 3_000 }), (any, count) => {
      const [first, second] = [decideRetry(any, count, 0), decideRetry(any, count + 1, 0)];
      expect(first.again && second.again && second.delayMs >= first.delayMs).toBe(true);
    }),
  );
});
