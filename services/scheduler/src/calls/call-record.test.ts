import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  admit,
  type CallAsked,
  type CallLimits,
  type CallRecord,
  current,
  giveBack,
  maxConcurrency,
  noCalls,
  withoutDead,
} from "./call-record.ts";

const open: CallLimits = { concurrency: 0, requestsPerMinute: 0, tokensPerMinute: 0 };
const uuid = (n: number) => `${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;
const call = (n: number, tokens = 10): CallAsked => ({
  callId: uuid(n),
  taskId: `task-${n}`,
  attempt: 1,
  keptMs: 60_000,
  tokens,
});

function taken(record: CallRecord, asked: CallAsked, limits: CallLimits, nowMs: number): CallRecord {
  const answer = admit(current(record, nowMs), asked, limits, nowMs);
  if (answer.kind !== "place") throw new Error(`it has to wait: ${answer.limit}`);
  return answer.record;
}

describe("side by side", () => {
  const two = { ...open, concurrency: 2 };

  test("a place is there for as many as allowed, and again when one is given back", () => {
    let record = taken(taken(noCalls, call(1), two, 0), call(2), two, 0);
    expect(admit(record, call(3), two, 1)).toMatchObject({ kind: "delay", limit: "concurrency" });
    record = giveBack(record, uuid(1), 10, 2);
    record = taken(record, call(3), two, 2);
    expect(record.held).toHaveLength(2);
  });

  test("the same call asked for again has one place", () => {
    const once = taken(noCalls, call(1), two, 0);
    expect(taken(once, call(1), two, 5)).toEqual(once);
  });

  test("a place that nobody gives back is free when its time ends", () => {
    const record = taken(taken(noCalls, call(1), two, 0), call(2), two, 0);
    expect(admit(current(record, 59_999), call(3), two, 59_999).kind).toBe("delay");
    expect(admit(current(record, 60_000), call(3), two, 60_000).kind).toBe("place");
  });

  test("the place of an attempt that is no longer is free; that of a task that ended, when its executor surely knows", () => {
    const three = { ...open, concurrency: 3 };
    const record = [call(1), call(2), call(3)].reduce((sum, each) => taken(sum, each, three, 0), noCalls);
    const states = { "task-1": "gone", "task-2": "ended", "task-3": "running" } as const;
    const holderOf = (taskId: string) => states[taskId as keyof typeof states];
    const less = withoutDead(record, holderOf, 1_000, 15_000);
    expect(less.held.map(([, taskId, , untilMs]) => [taskId, untilMs])).toEqual([
      ["task-2", 16_000],
      ["task-3", 60_000],
    ]);
    // Looked at again, it is no longer than before.
    expect(withoutDead(less, holderOf, 10_000, 15_000)).toBe(less);
  });

  test("giving back what is not there changes nothing", () => {
    const record = taken(noCalls, call(1), two, 0);
    expect(giveBack(record, uuid(9), 5, 1)).toBe(record);
  });

  test("without a bound the places kept stay few", () => {
    let record = noCalls;
    for (let n = 0; n < maxConcurrency + 50; n++) record = taken(record, call(n), open, 0);
    expect(record.held).toHaveLength(maxConcurrency);
    expect(JSON.stringify(record).length).toBeLessThan(65_536);
  });
});

describe("per minute", () => {
  test("calls wait until enough of them are a minute old", () => {
    const limits = { ...open, requestsPerMinute: 2 };
    const record = taken(taken(noCalls, call(1), limits, 500), call(2), limits, 20_000);
    const answer = admit(current(record, 30_000), call(3), limits, 30_000);
    expect(answer).toEqual({ kind: "delay", limit: "requestsPerMinute", waitMs: 31_000 });
    expect(admit(current(record, 60_999), call(3), limits, 60_999).kind).toBe("delay");
    expect(admit(current(record, 61_000), call(3), limits, 61_000).kind).toBe("place");
  });

  test("tokens that were not used are free at once, those used beyond count", () => {
    const limits = { ...open, tokensPerMinute: 100 };
    const record = taken(noCalls, call(1, 80), limits, 0);
    expect(admit(record, call(2, 30), limits, 1_000)).toMatchObject({ kind: "delay", limit: "tokensPerMinute" });
    expect(admit(giveBack(record, uuid(1), 10, 1_000), call(2, 90), limits, 1_000).kind).toBe("place");
    expect(admit(giveBack(record, uuid(1), 95, 1_000), call(2, 10), limits, 1_000).kind).toBe("delay");
    // Nobody knows: the estimate counts.
    expect(admit(giveBack(record, uuid(1), undefined, 1_000), call(2, 21), limits, 1_000).kind).toBe("delay");
  });

  test("a call larger than the limit goes alone instead of never", () => {
    const limits = { ...open, tokensPerMinute: 100 };
    const record = taken(noCalls, call(1, 5_000), limits, 0);
    expect(admit(record, call(2, 1), limits, 1_000)).toMatchObject({ kind: "delay", waitMs: 60_000 });
  });

  test("a clock that is set back forgets nothing", () => {
    const limits = { ...open, requestsPerMinute: 2 };
    const record = taken(taken(noCalls, call(1), limits, 50_000), call(2), limits, 10_000);
    expect(admit(record, call(3), limits, 10_000).kind).toBe("delay");
  });

  test("whatever comes when, no 60 seconds have more than allowed, and no more are held than may be", () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 9_000 }),
      tokens: fc.integer({ min: 0, max: 60 }),
      back: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (steps, requestsPerMinute) => {
        const limits = { concurrency: 3, requestsPerMinute, tokensPerMinute: 100 };
        let record = noCalls;
        let nowMs = 0;
        const begun: { at: number; tokens: number }[] = [];
        for (const [n, { afterMs, tokens, back }] of steps.entries()) {
          nowMs += afterMs;
          record = current(record, nowMs);
          const answer = admit(record, call(n, tokens), limits, nowMs);
          if (answer.kind === "delay") {
            expect(answer.waitMs).toBeGreaterThan(0);
            continue;
          }
          record = answer.record;
          begun.push({ at: nowMs, tokens });
          expect(record.held.length).toBeLessThanOrEqual(3);
          const window = begun.filter(({ at }) => at > nowMs - 60_000);
          expect(window.length).toBeLessThanOrEqual(requestsPerMinute);
          expect(window.reduce((sum, each) => sum + each.tokens, 0)).toBeLessThanOrEqual(100);
          if (back) record = giveBack(record, uuid(n), tokens, nowMs);
        }
      }),
    );
  });
});
