import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Failure, LonghaulError } from "@longhaul/core";
import {
  type HoldResult,
  type NodeReport,
  NodeReportSchema,
  type TaskReport,
  TaskReportSchema,
  Verdict,
} from "@longhaul/proto/execution_service";
import { failureMessage, nodeStateNumber, tooLarge } from "@longhaul/shared";
import type { NodeRecord, TaskOutcome } from "@longhaul/workflow";
import { type Hold, stopHold } from "./hold.ts";

/** Says what happens in one task: one report under way at a time, numbered, each sent until it is answered or the lease ends. */
export interface Reporter {
  /** Notes results. With `barrier` the promise resolves once everything noted so far is stored. */
  record(runs: readonly NodeRecord[], options: { readonly barrier: boolean }): Promise<void> | void;
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
  let underWay: Promise<void> | undefined;
  let turnEnds = false;
  let isFinished = false;

  async function deliver(report: TaskReport): Promise<void> {
    let unexpected = 0;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      if (hold.stopped !== undefined && hold.stopped !== "draining") return;
      const sentAt = deps.monotonic();
      try {
        const { verdict } = await deps.send(report);
        if (verdict === Verdict.CONTINUE) {
          hold.provenAt = Math.max(hold.provenAt, sentAt);
          hold.leaseUntil = Math.max(hold.leaseUntil, sentAt + deps.leaseMs);
          // A process that was frozen finds old answers when it goes on: what they allowed is over.
          if (deps.monotonic() >= hold.leaseUntil) stopHold(hold, "lease-ended");
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

  function reportOf(outcome: TaskReport["outcome"]): TaskReport {
    const nodes = Array.from(noted.values(), nodeReport);
    noted = new Map();
    number++;
    return create(TaskReportSchema, { taskId, attempt, number, project, nodes, outcome });
  }

  /** Sends what is noted; one report at a time. */
  async function flush(): Promise<void> {
    while (underWay !== undefined) await underWay;
    if (noted.size === 0) return;
    underWay = deliver(reportOf({ case: "progress", value: { $typeName: "longhaul.v1.ProgressOutcome" } })).finally(() => {
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
    record(runs, { barrier }) {
      checkSizes(runs);
      for (const run of runs) noted.set(run.path, run);
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
      await deliver(reportOf(outcomeOf(outcome, deps.maxValueBytes)));
    },
  };
}

/** The bytes of a text that has more than `maxBytes` of them, else 0; exactly counted only where it could matter. */
function bytesBeyond(json: string, maxBytes: number): number {
  if (json.length * 3 <= maxBytes) return 0;
  const bytes = Buffer.byteLength(json);
  return bytes > maxBytes ? bytes : 0;
}

function outcomeOf(outcome: Exclude<TaskOutcome, { kind: "aborted" }>, maxValueBytes: number): TaskReport["outcome"] {
  switch (outcome.kind) {
    case "succeeded": {
      const bytes = bytesBeyond(outcome.outputJson, maxValueBytes);
      if (bytes > 0) return failure(tooLarge(undefined, bytes, maxValueBytes));
      return create(TaskReportSchema, { outcome: { case: "success", value: { outputJson: Buffer.from(outcome.outputJson) } } })
        .outcome;
    }
    case "failed":
      return failure(outcome.error);
    case "backoff":
      return create(TaskReportSchema, {
        outcome: {
          case: "backoff",
          value: { delay: durationFromMs(Math.max(0, Math.round(outcome.delayMs))), node: outcome.node },
        },
      }).outcome;
  }
}

function failure(error: Failure): TaskReport["outcome"] {
  return create(TaskReportSchema, { outcome: { case: "failure", value: { error: failureMessage(error) } } }).outcome;
}

function nodeReport(run: NodeRecord): NodeReport {
  const report = create(NodeReportSchema, {
    path: run.path,
    kind: run.kind,
    state: nodeStateNumber(run.state),
    startTime: timestampFromMs(run.startTimeMs),
    tries: run.tries,
  });
  if (run.inputJson !== undefined) report.inputJson = Buffer.from(run.inputJson);
  if (run.outputJson !== undefined) report.outputJson = Buffer.from(run.outputJson);
  if (run.error !== undefined) report.error = failureMessage(run.error);
  if (run.endTimeMs !== undefined) report.endTime = timestampFromMs(run.endTimeMs);
  return report;
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
