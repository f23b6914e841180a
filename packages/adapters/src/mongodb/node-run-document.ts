import type { Failure, NodeRun, NodeStateName, NodeWait, Usage } from "@longhaul/core";
import { type PayloadDocument, payloadFromDocument, payloadSize, payloadToDocument } from "./payload-document.ts";

/** A node run as it lies in `node_runs`; `_id` is `{task id}/{path}`. */
export interface NodeRunDocument {
  readonly _id: string;
  readonly project: string;
  readonly taskId: string;
  readonly path: string;
  readonly kind: string;
  readonly state: NodeStateName;
  readonly attempt: number;
  readonly report: number;
  readonly tries: number;
  readonly startTime: number;
  readonly endTime?: number | undefined;
  readonly input?: PayloadDocument | undefined;
  readonly output?: PayloadDocument | undefined;
  /** JSON text, because its details may have any key. */
  readonly error?: string | undefined;
  /** JSON text, because what its kind keeps in it may have any key. */
  readonly wait?: string | undefined;
  readonly usage?: Usage | undefined;
  readonly log?: PayloadDocument | undefined;
  readonly childId?: string | undefined;
  readonly secret?: true | undefined;
}

export function nodeRunToDocument(run: NodeRun): NodeRunDocument {
  return {
    _id: `${run.taskId}/${run.path}`,
    project: run.project,
    taskId: run.taskId,
    path: run.path,
    kind: run.kind,
    state: run.state,
    attempt: run.attempt,
    report: run.report,
    tries: run.tries,
    startTime: run.startTime,
    endTime: run.endTime,
    input: run.input && payloadToDocument(run.input),
    output: run.output && payloadToDocument(run.output),
    error: run.error && JSON.stringify(run.error),
    wait: run.wait && JSON.stringify(run.wait),
    usage: run.usage,
    log: run.log && payloadToDocument(run.log),
    childId: run.childId,
    secret: run.secret,
  };
}

export function nodeRunFromDocument(document: NodeRunDocument): NodeRun {
  const run: { -readonly [K in keyof NodeRun]: NodeRun[K] } = {
    taskId: document.taskId,
    project: document.project,
    path: document.path,
    kind: document.kind,
    state: document.state,
    attempt: document.attempt,
    report: document.report,
    startTime: document.startTime,
    tries: document.tries,
  };
  if (document.input) run.input = payloadFromDocument(document.input);
  if (document.output) run.output = payloadFromDocument(document.output);
  if (document.error !== undefined) {
    const error: Failure = JSON.parse(document.error);
    run.error = error;
  }
  if (document.endTime !== undefined) run.endTime = document.endTime;
  if (document.wait !== undefined) {
    const wait: NodeWait = JSON.parse(document.wait);
    run.wait = wait;
  }
  if (document.usage) run.usage = document.usage;
  if (document.log) run.log = payloadFromDocument(document.log);
  if (document.childId !== undefined) run.childId = document.childId;
  if (document.secret !== undefined) run.secret = document.secret;
  return run;
}

/** About how many bytes a run takes. */
export function nodeRunSize(run: NodeRun): number {
  const wait = run.wait === undefined ? 0 : 2_048;
  return 512 + payloadSize(run.input) + payloadSize(run.output) + (run.log === undefined ? 0 : payloadSize(run.log)) + wait;
}
