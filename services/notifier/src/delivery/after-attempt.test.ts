import type { Delivery } from "@longhaul/core";
import { expect, test } from "vitest";
import { addLateAttempt, afterAttempt, longestPauseMs, pause, replayed } from "./after-attempt.ts";
import { webhookRetryRule } from "./schedule.ts";

const now = 1_800_000_000_000;
const base: Delivery = {
  id: "t.task.succeeded",
  project: "acme",
  taskId: "t",
  event: "task.succeeded",
  url: "https://a.example/",
  endpoint: "acme https://a.example",
  sealedSecrets: [],
  sealedHeaders: {},
  body: "{}",
  createTime: now,
  state: "pending",
  nextAttemptTime: now,
  attempts: [],
  made: 0,
  madeInRound: 0,
  sequence: 0,
  unreported: false,
};
const facts = { time: now, status: 500, latencyMs: 3, error: "The receiver answered 500.", responseStart: "" };
const plan = { rule: webhookRetryRule(), random: 0, now };
const failed = { kind: "failed", retryAfterMs: 0 } as const;

test("eight attempts take about 28 hours", () => {
  for (const [random, least, most] of [
    [0, 27, 29],
    [0.999_999, 26, 29],
  ] as const) {
    let delivery = base;
    let at = now;
    const waits: number[] = [];
    while (delivery.state === "pending") {
      delivery = afterAttempt(delivery, facts, failed, { ...plan, random, now: at });
      if (delivery.nextAttemptTime !== undefined) waits.push(delivery.nextAttemptTime - at);
      at = delivery.nextAttemptTime ?? at;
    }
    expect(delivery.made).toBe(8);
    expect(delivery.state).toBe("exhausted");
    const hours = (at - now) / 3_600_000;
    expect(hours).toBeGreaterThan(least);
    expect(hours).toBeLessThan(most);
    if (random === 0) expect(waits).toEqual([5_000, 30_000, 180_000, 1_080_000, 6_480_000, 38_880_000, 57_600_000]);
  }
});

test("success ends it, and only a change of state is news for the scheduler", () => {
  const retried = afterAttempt(base, facts, failed, plan);
  expect(retried).toMatchObject({ state: "pending", sequence: 0, unreported: false, made: 1, madeInRound: 1 });
  const done = afterAttempt(retried, { ...facts, status: 200, error: "" }, { kind: "delivered" }, plan);
  expect(done).toMatchObject({ state: "delivered", sequence: 1, unreported: true, made: 2 });
  expect("nextAttemptTime" in done).toBe(false);
  expect(done.attempts.map((one) => one.number)).toEqual([1, 2]);
});

test("a hopeless attempt exhausts at once", () => {
  expect(afterAttempt(base, { ...facts, status: 410 }, { kind: "hopeless" }, plan)).toMatchObject({
    state: "exhausted",
    made: 1,
  });
});

test("a Retry-After longer than the schedule is waited for", () => {
  expect(afterAttempt(base, facts, { kind: "failed", retryAfterMs: 60_000 }, plan).nextAttemptTime).toBe(now + 60_000);
  expect(afterAttempt(base, facts, { kind: "failed", retryAfterMs: 1_000 }, plan).nextAttemptTime).toBe(now + 5_000);
});

test("a retry that would fall into a pause of its endpoint waits as paused", () => {
  const paused = afterAttempt(base, facts, failed, { ...plan, pausedUntil: now + 10_000 });
  expect(paused).toMatchObject({ state: "paused", sequence: 1, unreported: true, nextAttemptTime: now + 10_001 });
  expect(afterAttempt(base, facts, failed, { ...plan, pausedUntil: now + 1_000 }).state).toBe("pending");
});

test("pausing counts no attempt, and those tried least come first afterwards", () => {
  const one = pause(base, now + 10_000, now);
  expect(one).toMatchObject({ state: "paused", made: 0, madeInRound: 0, nextAttemptTime: now + 10_000 });
  expect(pause({ ...base, madeInRound: 5, made: 5 }, now + 10_000, now).nextAttemptTime).toBe(now + 10_005);
  expect(pause(one, now + 20_000, now).sequence).toBe(one.sequence);
});

test("a message paused for a week is given up, one that was replayed only after an attempt", () => {
  const later = now + longestPauseMs + 1;
  expect(pause(base, later + 1, later).state).toBe("exhausted");
  expect(pause({ ...base, made: 3, madeInRound: 0 }, later + 1, later).state).toBe("paused");
  expect(pause({ ...base, made: 4, madeInRound: 1 }, later + 1, later).state).toBe("exhausted");
});

test("only the latest fifty attempts are kept, their numbers go on", () => {
  let delivery = base;
  for (let i = 0; i < 60; i++) delivery = afterAttempt(replayed(delivery, now), facts, failed, plan);
  expect(delivery.attempts).toHaveLength(50);
  expect(delivery.attempts.at(-1)?.number).toBe(60);
  expect(delivery.made).toBe(60);
});

test("an attempt that ends after its lease changes the state only by arriving", () => {
  const other = { ...base, nextAttemptTime: now + 99 };
  expect(addLateAttempt(other, facts, failed)).toMatchObject({ state: "pending", nextAttemptTime: now + 99, made: 1 });
  expect(addLateAttempt(other, facts, { kind: "hopeless" }).state).toBe("pending");
  expect(addLateAttempt(other, facts, { kind: "delivered" }).state).toBe("delivered");
  expect(addLateAttempt({ ...base, state: "delivered" }, facts, failed).state).toBe("delivered");
});
