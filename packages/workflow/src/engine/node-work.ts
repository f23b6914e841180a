import type { Failure, Json, Usage } from "@longhaul/core";
import type { CompiledNode } from "../definition/compiled-workflow.ts";
import type { GraphRun } from "./graph-run.ts";
import type { LogLine, NodeRecord, StoredRun } from "./task-run.ts";

const maxLogBytes = 60_000;
const maxLine = 8_000;

/** What comes about while a node works beside the others; nodes that answer at once have none. */
export class NodeWork {
  readonly graph: GraphRun;
  readonly node: CompiledNode;
  readonly path: string;
  readonly startTimeMs: number;
  /** Tries begun, those of earlier attempts included. */
  tries: number;
  inputJson: string | undefined;
  childTask: string | undefined;
  /** The arrival that it goes on with, until the effect of it is recorded. */
  seq: number | undefined;
  private usage: Usage | undefined;
  private lines: LogLine[] | undefined;
  private logBytes = 0;

  constructor(graph: GraphRun, node: CompiledNode, path: string, startTimeMs: number, before: StoredRun | undefined) {
    this.graph = graph;
    this.node = node;
    this.path = path;
    this.startTimeMs = before?.startTimeMs ?? startTimeMs;
    this.tries = triesBefore(before);
    this.childTask = before?.childTask;
  }

  /** Adds a line to its log; what is beyond the bound is left out, and so is all of a node that works with secrets. */
  log(atMs: number, text: string): void {
    if (this.node.withholds || this.logBytes >= maxLogBytes) return;
    const line = text.slice(0, maxLine);
    this.logBytes += Buffer.byteLength(JSON.stringify(line)) + 40;
    this.lines ??= [];
    this.lines.push({ atMs, line: this.logBytes < maxLogBytes ? line : "(the log is full)" });
  }

  spend(usage: Usage): void {
    this.usage = this.usage === undefined ? usage : sum(this.usage, usage);
    this.graph.run.spending.use(usage);
  }

  /** A record of the node with all that came about. */
  record(state: NodeRecord["state"], more: Partial<NodeRecord>): NodeRecord {
    return {
      path: this.path,
      kind: this.node.kind.name,
      state,
      startTimeMs: this.startTimeMs,
      tries: this.tries,
      ...(this.inputJson === undefined ? {} : { inputJson: this.inputJson }),
      ...(this.usage === undefined ? {} : { usage: this.usage }),
      ...(this.lines === undefined ? {} : { log: [...this.lines] }),
      ...(this.childTask === undefined ? {} : { childTask: this.childTask }),
      ...(this.node.secret ? { secret: true as const } : {}),
      ...more,
    };
  }

  succeed(output: Json): void {
    this.graph.succeed(this.node, this.path, output, this.startTimeMs, this.tries, this);
  }

  fail(error: Failure): void {
    this.graph.fail(this.node, this.path, error, this.startTimeMs, this.tries, this);
  }
}

/** Tries that earlier attempts made: one that was cut short does not count. */
export function triesBefore(run: StoredRun | undefined): number {
  if (run === undefined || (run.state !== "running" && run.state !== "waiting")) return 0;
  return run.state === "running" && run.error === undefined ? Math.max(0, run.tries - 1) : run.tries;
}

function sum(a: Usage, b: Usage): Usage {
  const firstTokenMs = a.firstTokenMs ?? b.firstTokenMs;
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    totalTokens: a.totalTokens + b.totalTokens,
    ...(firstTokenMs === undefined ? {} : { firstTokenMs }),
  };
}
