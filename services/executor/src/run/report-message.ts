import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Failure, NodeWait as StoredWait, WaitingFor } from "@longhaul/core";
import { type NodeReport, NodeReportSchema, type TaskReport, TaskReportSchema } from "@longhaul/proto/execution_service";
import { LogLineSchema } from "@longhaul/proto/task";
import {
  failureMessage,
  newMessage,
  newTimestamp,
  nodeStateNumber,
  suspensionMessage,
  tooLarge,
  usageMessage,
  waitingMessage,
} from "@longhaul/shared";
import type { NodeRecord, NodeWait, NodeWaitFact, TaskOutcome } from "@longhaul/workflow";

export const progress: TaskReport["outcome"] = { case: "progress", value: { $typeName: "longhaul.v1.ProgressOutcome" } };

/** The bytes of a text that has more than `maxBytes` of them, else 0; exactly counted only where it could matter. */
export function bytesBeyond(json: string, maxBytes: number): number {
  if (json.length * 3 <= maxBytes) return 0;
  const bytes = Buffer.byteLength(json);
  return bytes > maxBytes ? bytes : 0;
}

/** How the task goes on, as it is reported. */
export function outcomeOf(outcome: Exclude<TaskOutcome, { kind: "aborted" }>, maxValueBytes: number): TaskReport["outcome"] {
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
    case "wait": {
      const { waits, waitCount, seen } = outcome;
      return create(TaskReportSchema, {
        outcome: {
          case: "wait",
          value: { waits: waits.map((wait) => waitingMessage(waitingFor(wait), waitCount)), waitCount, seen: BigInt(seen) },
        },
      }).outcome;
    }
  }
}

function waitingFor({ kind, node, sinceMs, untilMs, name, reason }: NodeWaitFact): WaitingFor {
  return {
    kind,
    node,
    since: Math.round(sinceMs),
    reason,
    ...(untilMs === undefined ? {} : { until: Math.ceil(untilMs) }),
    ...(name === undefined ? {} : { name }),
  };
}

function failure(error: Failure): TaskReport["outcome"] {
  return create(TaskReportSchema, { outcome: { case: "failure", value: { error: failureMessage(error) } } }).outcome;
}

/** A node run as it is reported. Its input, which only people look at, is left out where the two would be too much for one message. */
export function nodeReport(run: NodeRecord, maxValueBytes: number): NodeReport {
  const report = newMessage(NodeReportSchema, {
    path: run.path,
    kind: run.kind,
    state: nodeStateNumber(run.state),
    startTime: newTimestamp(run.startTimeMs),
    tries: run.tries,
  });
  if (run.outputJson !== undefined) report.outputJson = Buffer.from(run.outputJson);
  if (run.inputJson !== undefined) {
    const input = Buffer.from(run.inputJson);
    if (input.byteLength + report.outputJson.byteLength <= maxValueBytes) report.inputJson = input;
  }
  if (run.error !== undefined) report.error = failureMessage(run.error);
  if (run.endTimeMs !== undefined) report.endTime = newTimestamp(run.endTimeMs);
  if (run.wait !== undefined) report.wait = suspensionMessage(nodeWait(run.wait, run.sinceMs ?? run.startTimeMs));
  if (run.usage !== undefined) report.usage = usageMessage(run.usage);
  if (run.log !== undefined)
    report.log = run.log.map(({ atMs, line }) => create(LogLineSchema, { time: newTimestamp(atMs), line }));
  if (run.childTask !== undefined) report.childTask = run.childTask;
  if (run.secret !== undefined) report.secret = run.secret;
  return report;
}

function nodeWait({ untilMs, ...wait }: NodeWait, sinceMs: number): StoredWait {
  return { ...wait, since: Math.round(sinceMs), ...(untilMs === undefined ? {} : { until: Math.ceil(untilMs) }) };
}

/** The bytes of a report without node runs. */
export function outcomeBytes(outcome: TaskReport["outcome"]): number {
  return outcome.case === "success" ? outcome.value.outputJson.byteLength : 0;
}

/** The bytes of a node run in a report, about. */
export function nodeBytes(node: NodeReport): number {
  let bytes = 256 + node.inputJson.byteLength + node.outputJson.byteLength;
  for (const { line } of node.log) bytes += 32 + line.length;
  if (node.wait !== undefined) bytes += node.wait.detailsJson.byteLength + node.wait.memoryJson.byteLength;
  return bytes;
}

/** Node runs in their order, in groups of at most `maxBytes` or of one; beside the last group `lastBytes` more have room. */
export function inGroups(nodes: readonly NodeReport[], lastBytes: number, maxBytes: number): NodeReport[][] {
  const groups: NodeReport[][] = [[]];
  let bytes = 0;
  for (const node of nodes) {
    const more = nodeBytes(node);
    if (bytes > 0 && bytes + more > maxBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(node);
    bytes += more;
  }
  if (bytes > 0 && bytes + lastBytes > maxBytes) groups.push([]);
  return groups;
}
