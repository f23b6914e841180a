import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isResult, maxLogBytes, type NodeRun, type Payload, type ReportOutcome } from "@longhaul/core";
import type { NodeReport, TaskReport } from "@longhaul/proto/execution_service";
import { failureOf, nodeStateName, type SecretBox, spentOf, suspensionOf, tooLarge, usageOf, waitingOf } from "@longhaul/shared";
import type { Entry } from "../ledger/ledger.ts";
import { type PayloadWriter, textOf } from "./payloads.ts";
import { sealJson, valuePart } from "./sealed-values.ts";

export interface ReadReportDeps {
  readonly box: SecretBox;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
}

/** What a report asks for; its large values are handed to `writer`. */
export function reportEntry(deps: ReadReportDeps, executor: string, report: TaskReport, writer: PayloadWriter): Entry {
  const { taskId, project, attempt, number } = report;
  const keyOf = (path: string, part: string): string => `${taskId}/${path}/${attempt}/${number}/${part}`;
  const add: Add = (json, path, part) => writer.add(json, keyOf(path, part));

  const tooLarge = report.nodes.find((node) => node.outputJson.byteLength > deps.maxValueBytes);
  const outcome =
    tooLarge === undefined
      ? outcomeOf(deps, report, add)
      : tooLargeFailure(tooLarge.path, tooLarge.outputJson.byteLength, deps.maxValueBytes);
  const kept = report.nodes.filter((node) => node.outputJson.byteLength <= deps.maxValueBytes);
  const runs = kept.map((node): NodeRun => ({ taskId, project, attempt, report: number, ...nodeOf(deps, node, add) }));
  return {
    key: { project, id: taskId },
    event: {
      kind: "report",
      executor,
      attempt,
      number,
      results: runs.filter((run) => isResult(run.state)).length,
      outcome,
      ...(report.consumed.length === 0 ? {} : { consumed: report.consumed.map(Number) }),
      ...(report.spent === undefined ? {} : { spent: spentOf(report.spent) }),
    },
    ...(runs.length === 0 ? {} : { nodeRuns: () => runs }),
  };
}

type Add = (json: string, path: string, part: string) => Payload;

function nodeOf({ box }: ReadReportDeps, node: NodeReport, add: Add): Omit<NodeRun, "taskId" | "project" | "attempt" | "report"> {
  const { path, secret } = node;
  const value = (bytes: Uint8Array, name: "input" | "output"): Payload => {
    const json = textOf(bytes);
    return add(secret ? sealJson(box, json) : json, path, valuePart(name, secret));
  };
  return {
    path,
    kind: node.kind,
    state: nodeStateName(node.state) ?? "failed",
    startTime: node.startTime === undefined ? 0 : timestampMs(node.startTime),
    tries: node.tries,
    ...(node.inputJson.byteLength === 0 ? {} : { input: value(node.inputJson, "input") }),
    ...(node.outputJson.byteLength === 0 ? {} : { output: value(node.outputJson, "output") }),
    ...(node.error === undefined ? {} : { error: failureOf(node.error) }),
    ...(node.endTime === undefined ? {} : { endTime: timestampMs(node.endTime) }),
    ...(node.wait === undefined ? {} : { wait: suspensionOf(node.wait) }),
    ...(node.usage === undefined ? {} : { usage: usageOf(node.usage) }),
    ...(node.log.length === 0 ? {} : { log: add(logJson(node), path, "log") }),
    ...(node.childTask === "" ? {} : { childId: node.childTask }),
    ...(secret ? { secret } : {}),
  };
}

/** The lines as they are stored; those beyond the bound, which an executor keeps as well, are left out. */
function logJson({ log }: NodeReport): string {
  const lines: string[] = [];
  let bytes = 2;
  for (const { time, line } of log) {
    const json = JSON.stringify({ at: time === undefined ? 0 : timestampMs(time), line });
    bytes += Buffer.byteLength(json) + 1;
    if (bytes > maxLogBytes) break;
    lines.push(json);
  }
  return `[${lines.join(",")}]`;
}

function outcomeOf(deps: ReadReportDeps, report: TaskReport, add: Add): ReportOutcome {
  const { outcome } = report;
  switch (outcome.case) {
    case "success": {
      const { outputJson } = outcome.value;
      if (outputJson.byteLength > deps.maxValueBytes)
        return tooLargeFailure(undefined, outputJson.byteLength, deps.maxValueBytes);
      return { kind: "succeeded", output: add(textOf(outputJson), "", "output") };
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
    case "wait": {
      const { waits, waitCount, seen } = outcome.value;
      return { kind: "wait", waits: waits.map(waitingOf), waitCount, seen: Number(seen) };
    }
    default:
      return { kind: "progress" };
  }
}

function tooLargeFailure(node: string | undefined, bytes: number, maxBytes: number): ReportOutcome {
  return { kind: "failed", error: tooLarge(node, bytes, maxBytes) };
}
