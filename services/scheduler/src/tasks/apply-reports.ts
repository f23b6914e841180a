import { isEnded, type PayloadStore, type Task } from "@longhaul/core";
import { type Hold, type HoldResult, HoldResultSchema, type TaskReport, Verdict } from "@longhaul/proto/execution_service";
import { newMessage, type SecretBox } from "@longhaul/shared";
import type { Ledger, Outcome } from "../ledger/ledger.ts";
import { payloadWriter } from "./payloads.ts";
import { reportEntry } from "./read-report.ts";
import { inboxMessages } from "./stored-messages.ts";

export interface ReportDeps {
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly box: SecretBox;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
}

/** What arrived for the tasks of one answer, together. */
const inboxBytes = 4_194_304;

/** Writes what happened in tasks: large values first, then node runs, then headers. Results in the order of the reports. */
export async function applyReports(deps: ReportDeps, executor: string, reports: readonly TaskReport[]): Promise<HoldResult[]> {
  const writer = payloadWriter(deps.payloads);
  const entries = reports.map((report) => reportEntry(deps, executor, report, writer));
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

function holdResults(taskIds: readonly string[], outcomes: readonly Outcome[], executor: string): HoldResult[] {
  const inbox = { left: inboxBytes };
  return outcomes.map((outcome, i) => {
    const verdict = verdictOf(outcome, executor);
    const result = newMessage(HoldResultSchema, { taskId: taskIds[i] ?? "", verdict });
    if (outcome.kind !== "missing" && outcome.task.inbox !== undefined && verdict === Verdict.CONTINUE)
      result.arrivals = inboxMessages(outcome.task.inbox, inbox);
    return result;
  });
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
