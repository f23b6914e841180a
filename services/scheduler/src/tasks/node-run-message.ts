import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  isEnded,
  isResult,
  type PayloadStore,
  type NodeRun as StoredNodeRun,
  type NodeWait as StoredNodeWait,
  type Task,
} from "@longhaul/core";
import { type LogLine, LogLineSchema, type NodeRun, NodeRunSchema, type NodeWait, NodeWaitSchema } from "@longhaul/proto/task";
import { failureMessage, nodeStateNumber, usageMessage, valueFromJson } from "@longhaul/shared";
import { readPayloads } from "./payloads.ts";

/**
 * Stored node runs of a task as the API shows them, with their values up to `maxBytes` of large ones together. Secret values are not read.
 * What was under way when the task ended is shown as cancelled: nobody reports it any more.
 */
export async function showNodeRuns(
  payloads: PayloadStore,
  task: Task,
  stored: readonly StoredNodeRun[],
  maxBytes: number,
): Promise<NodeRun[]> {
  const runs = stored.map((run) => stoppedWith(task, run));
  const values = await readPayloads(
    payloads,
    runs.flatMap(({ input, output, log, secret }) => (secret === true ? [undefined, undefined, log] : [input, output, log])),
    maxBytes,
  );
  return runs.map((run, i) => nodeRunMessage(run, { input: values[3 * i], output: values[3 * i + 1], log: values[3 * i + 2] }));
}

function stoppedWith(task: Task, run: StoredNodeRun): StoredNodeRun {
  if (!isEnded(task) || isResult(run.state)) return run;
  const { wait: _over, ...rest } = run;
  return { ...rest, state: "cancelled", endTime: task.endTime };
}

/** JSON text; undefined where it is left out. */
interface NodeRunValues {
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly log: string | undefined;
}

function nodeRunMessage(run: StoredNodeRun, { input, output, log }: NodeRunValues): NodeRun {
  const message = create(NodeRunSchema, {
    path: run.path,
    kind: run.kind,
    state: nodeStateNumber(run.state),
    attempt: run.attempt,
    startTime: timestampFromMs(run.startTime),
    tries: run.tries,
    childTask: run.childId ?? "",
    secret: run.secret === true,
  });
  if (input !== undefined) message.input = valueFromJson(JSON.parse(input));
  if (output !== undefined) message.output = valueFromJson(JSON.parse(output));
  if (log !== undefined) message.log = logMessages(log);
  if (run.error !== undefined) message.error = failureMessage(run.error);
  if (run.endTime !== undefined) message.endTime = timestampFromMs(run.endTime);
  if (run.usage !== undefined) message.usage = usageMessage(run.usage);
  if (run.wait !== undefined) message.waitingFor = waitMessage(run.wait);
  return message;
}

function logMessages(json: string): LogLine[] {
  // Written by this service, in this form.
  const lines = JSON.parse(json) as readonly { readonly at: number; readonly line: string }[];
  return lines.map(({ at, line }) => create(LogLineSchema, { time: timestampFromMs(at), line }));
}

function waitMessage({ kind, name, reason, since, until, details }: StoredNodeWait): NodeWait {
  const message = create(NodeWaitSchema, { kind, name: name ?? "", reason, since: timestampFromMs(since) });
  if (until !== undefined) message.until = timestampFromMs(until);
  if (details !== undefined) message.details = valueFromJson(details);
  return message;
}
