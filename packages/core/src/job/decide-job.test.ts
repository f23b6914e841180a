import { describe, expect, test } from "vitest";
import { decideJob, type JobDecision, type JobEvent } from "./decide-job.ts";
import { defaultJobRules, type Job, jobOutcome, jobWakeAt, type LeasedJob, type QueuedJob } from "./job.ts";

const now = 1_000_000;
const rules = { leaseMs: 30_000, maxTries: 2, keepMs: 60_000 };

const queued: QueuedJob = {
  state: "queued",
  project: "acme",
  id: "j1",
  partition: 1,
  taskId: "t1",
  node: "each[3].call",
  function: "resize",
  input: { kind: "inline", json: '"sealed"' },
  priority: 0,
  createTime: now - 10,
  deadline: now + 100_000,
  tries: 0,
  fence: 6,
};
const leased: LeasedJob = { ...queued, state: "leased", worker: "w1", leaseUntil: now + 5, tries: 1, fence: 7 };

function next(decision: JobDecision): Job {
  if (decision.kind !== "store") throw new Error(`not stored but ${JSON.stringify(decision)}`);
  return decision.next;
}
const decide = (job: Job, event: JobEvent, at = now): JobDecision => decideJob(job, event, at, rules);
const done = next(decide({ ...leased, log: [{ at: now, line: "x" }] }, { kind: "finish", fence: 7 }));

describe("a job", () => {
  test("is leased once, with a fence that rises and a try that is counted", () => {
    const held = next(decide(queued, { kind: "lease", worker: "w1" }));
    expect(held).toEqual({ ...leased, leaseUntil: now + rules.leaseMs });
    expect(decide(held, { kind: "lease", worker: "w2" })).toEqual({ kind: "refuse", why: "taken" });
    expect(decide(done, { kind: "lease", worker: "w2" })).toEqual({ kind: "refuse", why: "taken" });
  });

  test("is not leased when nobody waits for it any more", () => {
    expect(decide(queued, { kind: "lease", worker: "w1" }, queued.deadline)).toEqual({ kind: "refuse", why: "over" });
  });

  test("is kept by heartbeats of its own lease alone", () => {
    expect(next(decide(leased, { kind: "heartbeat", fence: 7 }))).toEqual({ ...leased, leaseUntil: now + rules.leaseMs });
    for (const fence of [6, 8]) expect(decide(leased, { kind: "heartbeat", fence })).toEqual({ kind: "refuse", why: "lost" });
    expect(decide(queued, { kind: "heartbeat", fence: 6 })).toEqual({ kind: "refuse", why: "lost" });
    expect(decide(done, { kind: "heartbeat", fence: 7 })).toEqual({ kind: "refuse", why: "applied" });
    expect(decide(leased, { kind: "heartbeat", fence: 7 }, leased.deadline)).toEqual({ kind: "refuse", why: "over" });
  });

  test("keeps the newest lines of its log within a bound", () => {
    const said = next(decide(leased, { kind: "log", fence: 7, lines: ["a", "b"] }));
    expect(said).toEqual({
      ...leased,
      log: [
        { at: now, line: "a" },
        { at: now, line: "b" },
      ],
    });
    const full = next(decide(said, { kind: "log", fence: 7, lines: ["x".repeat(5_000), "y".repeat(1_000)] }));
    expect(full.log?.map(({ line }) => line.length)).toEqual([1_000]);
    const cut = next(decide(leased, { kind: "log", fence: 7, lines: ["x".repeat(5_000)] }));
    expect(cut.log).toEqual([{ at: now, line: "x".repeat(2_000) }]);
    expect(decide(leased, { kind: "log", fence: 6, lines: ["a"] })).toEqual({ kind: "refuse", why: "lost" });
  });

  test("is finished by its own lease alone, is remembered for a while, and keeps nothing of what it worked on", () => {
    expect(done).toMatchObject({ state: "done", fence: 7, keptUntil: now + rules.keepMs, input: { json: "null" } });
    expect(done).not.toHaveProperty("log");
    expect(done).not.toHaveProperty("worker");
    expect(decide(done, { kind: "finish", fence: 7 })).toEqual({ kind: "refuse", why: "applied" });
    expect(decide(done, { kind: "finish", fence: 6 })).toEqual({ kind: "refuse", why: "lost" });
    expect(decide(queued, { kind: "finish", fence: 6 })).toEqual({ kind: "refuse", why: "lost" });
    expect(decide(leased, { kind: "finish", fence: 7 }, leased.leaseUntil + 1).kind).toBe("store");
  });

  test("that is given back waits again and has used up no try; its old fence is worth nothing", () => {
    const secret = { ...leased, withheld: true as const };
    const back = next(decide(secret, { kind: "release", fence: 7 }));
    expect(back).toEqual({ ...queued, fence: 7, withheld: true });
    expect(next(decide({ ...leased, tries: 0 }, { kind: "release", fence: 7 })).tries).toBe(0);
    expect(decide(back, { kind: "release", fence: 7 })).toEqual({ kind: "refuse", why: "lost" });
  });

  test("whose worker is lost waits again, until its tries are used up", () => {
    expect(decide(leased, { kind: "expire" })).toEqual({ kind: "refuse", why: "early" });
    expect(next(decide({ ...leased, log: [] }, { kind: "expire" }, leased.leaseUntil))).toEqual({
      ...queued,
      tries: 1,
      fence: 7,
      log: [],
    });
    const last = decide({ ...leased, tries: 2 }, { kind: "expire" }, leased.leaseUntil);
    expect(last).toMatchObject({ kind: "give-up", next: { state: "leased", fence: 8, worker: "" } });
    if (last.kind !== "give-up") throw new Error("not given up");
    expect(decide(last.next, { kind: "finish", fence: 7 })).toEqual({ kind: "refuse", why: "lost" });
    // Whoever was about to tell the node may be lost as well.
    expect(decide(last.next, { kind: "expire" }, last.next.leaseUntil)).toMatchObject({ kind: "give-up", next: { fence: 9 } });
  });

  test("goes when nobody waits for it any more, and when it was remembered long enough", () => {
    expect(decide(queued, { kind: "expire" })).toEqual({ kind: "refuse", why: "early" });
    expect(decide(queued, { kind: "expire" }, queued.deadline)).toEqual({ kind: "remove" });
    expect(decide(leased, { kind: "expire" }, queued.deadline)).toEqual({ kind: "remove" });
    expect(decide(done, { kind: "expire" }, now + rules.keepMs - 1)).toEqual({ kind: "refuse", why: "early" });
    expect(decide(done, { kind: "expire" }, now + rules.keepMs)).toEqual({ kind: "remove" });
  });

  test("is looked at again when its lease, its time or its memory ends", () => {
    expect(jobWakeAt(queued)).toBe(queued.deadline);
    expect(jobWakeAt(leased)).toBe(leased.leaseUntil);
    expect(jobWakeAt({ ...leased, leaseUntil: queued.deadline + 1 })).toBe(queued.deadline);
    expect(jobWakeAt(done)).toBe(now + rules.keepMs);
    expect(defaultJobRules.leaseMs).toBeGreaterThanOrEqual(15_000);
  });

  test("brings its node the answer, which job it was, and what the worker wrote", () => {
    expect(jobOutcome({ id: "j1" }, { output: 1 })).toEqual({ job: "j1", output: 1 });
    expect(jobOutcome({ id: "j1", log: [{ at: 5, line: "a" }] }, { error: { code: "x" } })).toEqual({
      job: "j1",
      error: { code: "x" },
      log: [{ at: 5, line: "a" }],
    });
  });
});
