import { create } from "@bufbuild/protobuf";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isEnded, isResult, type NodeRun, type PayloadStore, type ReportOutcome, type Task } from "@longhaul/core";
import {
  type Hold,
  type HoldResult,
  HoldResultSchema,
  type NodeReport,
  type TaskReport,
  Verdict,
} from "@longhaul/proto/execution_service";
import { failureOf, nodeStateName, tooLarge } from "@longhaul/shared";
import type { Entry, Ledger, Outcome } from "../ledger/ledger.ts";
import { type PayloadWriter, payloadWriter, textOf } from "./payloads.ts";

export interface ReportDeps {
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
}

/** Writes what happened in tasks: large values first, then node runs, then headers. Results in the order of the reports. */
export async function applyReports(deps: ReportDeps, executor: string, reports: readonly TaskReport[]): Promise<HoldResult[]> {
  const writer = payloadWriter(deps.payloads);
  const entries = reports.map((report) => entryOf(deps, executor, report, writer));
  await writer.flush();
  const outcomes = await deps.ledger.apply(entries);
  const results = holdResults(
    reports.map(({ taskId }) => taskId),
    outcomes,
    executor,
  );
  results.forEach((result, i) => {
    const outcome = outcomes[i];
    // Ended by something that its executor does not know of, a value that is too large: there is nothing left to hold.
    if (outcome?.kind === "changed" && isEnded(outcome.task) && reports[i]?.outcome.case === "progress")
      result.verdict = Verdict.LOST;
  });
  return results;
}

/** Extends leases, or gives tasks back. Results in the order of the holds. */
export async function applyToHolds(
  deps: Pick<ReportDeps, "ledger">,
  executor: string,
  kind: "heartbeat" | "release",
  holds: readonly Hold[],
): Promise<HoldResult[]> {
  const outcomes = await deps.ledger.apply(
    holds.map(({ project, taskId, attempt }) => ({ key: { project, id: taskId }, event: { kind, executor, attempt } })),
  );
  return holdResults(
    holds.map(({ taskId }) => taskId),
    outcomes,
    executor,
  );
}

function entryOf(deps: ReportDeps, executor: string, report: TaskReport, writer: PayloadWriter): Entry {
  const { taskId, project, attempt, number } = report;
  const keyOf = (path: string, part: string): string => `${taskId}/${path}/${attempt}/${number}/${part}`;
  const add = (bytes: Uint8Array, path: string, part: string) => writer.add(textOf(bytes), keyOf(path, part));

  const tooLarge = report.nodes.find((node) => node.outputJson.byteLength > deps.maxValueBytes);
  const outcome =
    tooLarge === undefined
      ? outcomeOf(deps, report, add)
      : tooLargeFailure(tooLarge.path, tooLarge.outputJson.byteLength, deps.maxValueBytes);
  const kept = report.nodes.filter((node) => node.outputJson.byteLength <= deps.maxValueBytes);
  const runs = kept.map((node): NodeRun => ({ taskId, project, attempt, report: number, ...nodeOf(node, add) }));
  return {
    key: { project, id: taskId },
    event: {
      kind: "report",
      executor,
      attempt,
      number,
      results: runs.filter((run) => isResult(run.state)).length,
      outcome,
    },
    ...(runs.length === 0 ? {} : { nodeRuns: () => runs }),
  };
}

type Add = (bytes: Uint8Array, path: string, part: string) => ReturnType<PayloadWriter["add"]>;

function nodeOf(node: NodeReport, add: Add): Omit<NodeRun, "taskId" | "project" | "attempt" | "report"> {
  return {
    path: node.path,
    kind: node.kind,
    state: nodeStateName(node.state) ?? "failed",
    startTime: node.startTime === undefined ? 0 : timestampMs(node.startTime),
    tries: node.tries,
    ...(node.inputJson.byteLength === 0 ? {} : { input: add(node.inputJson, node.path, "input") }),
    ...(node.outputJson.byteLength === 0 ? {} : { output: add(node.outputJson, node.path, "output") }),
    ...(node.error === undefined ? {} : { error: failureOf(node.error) }),
    ...(node.endTime === undefined ? {} : { endTime: timestampMs(node.endTime) }),
  };
}

function outcomeOf(deps: ReportDeps, report: TaskReport, add: Add): ReportOutcome {
  const { outcome } = report;
  switch (outcome.case) {
    case "success": {
      const { outputJson } = outcome.value;
      if (outputJson.byteLength > deps.maxValueBytes)
        return tooLargeFailure(undefined, outputJson.byteLength, deps.maxValueBytes);
      return { kind: "succeeded", output: add(outputJson, "", "output") };
    }
    case "failure":
      return {
        kind: "failed",
        error:
          outcome.value.error === undefined
            ? { code: "node_failed", message: "The executor gave no reason.", retryable: false }
            : failureOf(outcome.value.error),
      };
    case "backoff":
      return {
        kind: "backoff",
        delayMs: outcome.value.delay === undefined ? 0 : Math.max(0, durationMs(outcome.value.delay)),
        node: outcome.value.node,
      };
    default:
      return { kind: "progress" };
  }
}

function tooLargeFailure(node: string | undefined, bytes: number, maxBytes: number): ReportOutcome {
  return { kind: "failed", error: tooLarge(node, bytes, maxBytes) };
}

function holdResults(taskIds: readonly string[], outcomes: readonly Outcome[], executor: string): HoldResult[] {
  return outcomes.map((outcome, i) =>
    create(HoldResultSchema, { taskId: taskIds[i] ?? "", verdict: verdictOf(outcome, executor) }),
  );
}

function verdictOf(outcome: Outcome, executor: string): Verdict {
  if (outcome.kind === "changed") return Verdict.CONTINUE;
  if (outcome.kind === "missing") return Verdict.LOST;
  switch (outcome.why) {
    case "applied":
      // Done before, but whoever asks may have lost its hold meanwhile.
      if (endedEarly(outcome.task)) return Verdict.CANCEL;
      return isEnded(outcome.task) || (outcome.task.state === "running" && outcome.task.executor === executor)
        ? Verdict.CONTINUE
        : Verdict.LOST;
    case "stopped":
      return Verdict.CANCEL;
    default:
      return Verdict.LOST;
  }
}

function endedEarly(task: Task): boolean {
  return task.state === "cancelled" || task.state === "timed_out";
}
