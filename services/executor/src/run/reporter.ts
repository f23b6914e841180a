import { type Failure, LonghaulError, type Spent } from "@longhaul/core";
import { type HoldResult, type TaskReport, TaskReportSchema, Verdict } from "@longhaul/proto/execution_service";
import { newMessage, spendMessage, tooLarge } from "@longhaul/shared";
import type { NodeRecord, RecordOptions, TaskOutcome } from "@longhaul/workflow";
import { type Hold, stopHold } from "./hold.ts";
import { bytesBeyond, inGroups, nodeReport, outcomeBytes, outcomeOf, progress } from "./report-message.ts";

/** Says what happens in one task: one report under way at a time, numbered, each sent until it is answered or the lease ends. */
export interface Reporter {
  /** Notes results. With `barrier` the promise resolves once everything noted so far is stored. */
  record(runs: readonly NodeRecord[], options: RecordOptions): Promise<void> | void;
  /** The last report. Resolves when it is stored, or the hold is lost. */
  finish(outcome: Exclude<TaskOutcome, { kind: "aborted" }>): Promise<void>;
  /** Sends what is noted and not stored yet, for a drain. */
  flush(): Promise<void>;
}

export interface ReporterDeps {
  readonly hold: Hold;
  /** Sends one report, together with those of other tasks. */
  readonly send: (report: TaskReport) => Promise<HoldResult>;
  readonly leaseMs: number;
  /** Monotonic milliseconds. */
  readonly monotonic: () => number;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
}

/** Thrown by `record`: ends the run with this failure. */
export class TooLarge extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Node runs of one report travel together up to this size; a larger value goes alone. Well below what a message may have. */
const maxReportBytes = 8_388_608;
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** An error that nobody expected may pass as well, but not for ever. */
const maxUnexpected = 6;

export function reporter(deps: ReporterDeps): Reporter {
  const { hold } = deps;
  const { taskId, attempt, project } = hold.task;
  let number = 0;
  // Of several records of a node in one report only the last counts.
  let noted = new Map<string, NodeRecord>();
  let consumed: readonly number[] = [];
  let spent: Spent | undefined;
  let underWay: Promise<void> | undefined;
  let turnEnds = false;
  let isFinished = false;

  async function deliver(report: TaskReport): Promise<void> {
    let unexpected = 0;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      if (hold.stopped !== undefined && hold.stopped !== "draining") return;
      const sentAt = deps.monotonic();
      try {
        const { verdict, arrivals } = await deps.send(report);
        if (verdict === Verdict.CONTINUE) {
          hold.provenAt = Math.max(hold.provenAt, sentAt);
          hold.leaseUntil = Math.max(hold.leaseUntil, sentAt + deps.leaseMs);
          // A process that was frozen finds old answers when it goes on: what they allowed is over.
          if (deps.monotonic() >= hold.leaseUntil) stopHold(hold, "lease-ended");
          if (arrivals.length > 0) hold.inbox.take(arrivals);
        } else {
          stopHold(hold, verdict === Verdict.CANCEL ? "cancelled" : "lost");
        }
        return;
      } catch (why) {
        if (why instanceof LonghaulError && why.code === "internal") unexpected++;
        if (!isPassing(why) && (unexpected === 0 || unexpected >= maxUnexpected)) {
          // It was refused for good, so its number is free: the report that ends the task must follow the last one stored.
          number--;
          throw why;
        }
        if (deps.monotonic() >= hold.leaseUntil) {
          stopHold(hold, "lease-ended");
          return;
        }
        await pause(pauseMs, hold.abort.signal);
      }
    }
  }

  /** Everything noted, in as many messages as their size asks for; what was consumed and spent goes with the last one. */
  function take(outcome: TaskReport["outcome"]): readonly Pick<TaskReport, "nodes" | "outcome" | "consumed" | "spent">[] {
    const nodes = Array.from(noted.values(), (run) => nodeReport(run, deps.maxValueBytes));
    const groups = inGroups(nodes, outcomeBytes(outcome), maxReportBytes);
    const last = { consumed: consumed.map(BigInt), ...(spent === undefined ? {} : { spent: spendMessage(spent) }) };
    noted = new Map();
    consumed = [];
    spent = undefined;
    return groups.map((group, i) =>
      i < groups.length - 1 ? { nodes: group, outcome: progress, consumed: [] } : { nodes: group, outcome, ...last },
    );
  }

  async function deliverAll(outcome: TaskReport["outcome"]): Promise<void> {
    for (const part of take(outcome)) {
      number++;
      await deliver(newMessage(TaskReportSchema, { taskId, attempt, number, project, ...part }));
    }
  }

  /** Sends what is noted; one report at a time. */
  async function flush(): Promise<void> {
    while (underWay !== undefined) await underWay;
    if (noted.size === 0 && consumed.length === 0 && spent === undefined) return;
    underWay = deliverAll(progress).finally(() => {
      underWay = undefined;
    });
    await underWay;
  }

  function checkSizes(runs: readonly NodeRecord[]): void {
    for (const run of runs) {
      const bytes = run.outputJson === undefined ? 0 : bytesBeyond(run.outputJson, deps.maxValueBytes);
      if (bytes > 0) throw new TooLarge(tooLarge(run.path, bytes, deps.maxValueBytes));
    }
  }

  return {
    record(runs, { barrier, consumed: seqs, spent: more }) {
      checkSizes(runs);
      for (const run of runs) noted.set(run.path, run);
      if (seqs.length > 0) consumed = [...consumed, ...seqs];
      if (more !== undefined) spent = sum(spent, more);
      if (barrier) return flush();
      // At the end of the turn: a graph that is through by then needs no report but the last one.
      if (!turnEnds) {
        turnEnds = true;
        setImmediate(() => {
          turnEnds = false;
          if (!isFinished && underWay === undefined) flush().catch((why: unknown) => hold.abort.abort(why));
        });
      }
      return undefined;
    },
    flush,
    async finish(outcome) {
      isFinished = true;
      while (underWay !== undefined) await underWay;
      await deliverAll(outcomeOf(outcome, deps.maxValueBytes));
    },
  };
}

function sum(before: Spent | undefined, more: Spent): Spent {
  if (before === undefined) return more;
  return {
    tokens: before.tokens + more.tokens,
    calls: before.calls + more.calls,
    nodeRuns: before.nodeRuns + more.nodeRuns,
    runMs: before.runMs + more.runMs,
  };
}

/** Whether the same report may well be taken later. */
export function isPassing(why: unknown): boolean {
  return (
    why instanceof LonghaulError && (why.code === "unavailable" || why.code === "deadline_exceeded" || why.code === "conflict")
  );
}

/** Resolves after `ms`, or as soon as `signal` aborts; a signal that has aborted already (a drain, a failed run) hastens nothing. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
