import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type Failure, type Json, type Live, LonghaulError, type Outbound, partitionOf, taskSubject } from "@longhaul/core";
import type { ExecutionService, HoldResult, Payload, TaskReport } from "@longhaul/proto/execution_service";
import { NodeState } from "@longhaul/proto/task";
import { failureOf, type Logger } from "@longhaul/shared";
import { runTask as runGraph, type StoredRun, type TaskOutcome } from "@longhaul/workflow";
import type { Definitions } from "./definitions.ts";
import type { Hold } from "./hold.ts";
import { reporter, TooLarge } from "./reporter.ts";
import { sleep } from "./sleep.ts";

export interface RunDeps {
  readonly client: Pick<Client<typeof ExecutionService>, "readPayload">;
  readonly definitions: Definitions;
  readonly outbound: Outbound;
  readonly live: Live;
  readonly log: Logger;
  readonly send: (report: TaskReport) => Promise<HoldResult>;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly maxValueBytes: number;
}

/** A retry further off than this lets the executor go. */
const maxHoldMs = 10_000;
const firstPauseMs = 100;
const longestPauseMs = 2_000;

/** Runs a task from where its stored results end until it ends, waits, or is stopped. Never rejects. */
export async function runTask(deps: RunDeps, hold: Hold): Promise<void> {
  const { task } = hold;
  const { log } = deps;
  const leaseMs = task.lease === undefined ? 30_000 : durationMs(task.lease);
  const reports = reporter({ hold, send: deps.send, leaseMs, monotonic: deps.monotonic, maxValueBytes: deps.maxValueBytes });
  const finish = async (outcome: TaskOutcome): Promise<void> => {
    if (outcome.kind === "aborted") {
      if (outcome.cause !== undefined && hold.stopped === undefined) throw outcome.cause;
      // A drain gives the task back; what it has done so far must not be done again.
      if (hold.stopped === "draining") await reports.flush();
      return;
    }
    await reports.finish(outcome);
  };
  try {
    await finish(await execute(deps, hold, reports.record));
  } catch (why) {
    // Stopped before its graph began: whoever stopped it says what becomes of it.
    if (hold.stopped !== undefined) return;
    const failure = why instanceof TooLarge ? why.failure : unexpected(why);
    if (!(why instanceof TooLarge))
      log.error({ taskId: task.taskId, err: why }, "a run ended with an error that nobody expected");
    hold.abort.abort(why);
    await reports
      .finish({ kind: "failed", error: failure })
      .catch((fault: unknown) => log.warn({ taskId: task.taskId, err: fault }, "an ending was not reported"));
  }
}

function unexpected(why: unknown): Failure {
  const message =
    why instanceof LonghaulError ? why.message : "The executor met an error that nobody expected; its log says more.";
  return { code: "node_failed", message, retryable: true };
}

async function execute(deps: RunDeps, hold: Hold, record: ReturnType<typeof reporter>["record"]): Promise<TaskOutcome> {
  const { task, abort } = hold;
  const { project, workflow: name, revision } = task;
  const found = deps.definitions.get(project, name, revision);
  // The first asking is made above already: only where it failed another one follows.
  const workflow =
    found instanceof Promise ? await patiently(hold, () => deps.definitions.get(project, name, revision), found) : found;
  const input = parseJson(task.input?.value.case === "json" ? task.input.value.value : await read(deps, hold, task.input));
  const stored = task.nodes.length === 0 ? [] : await storedRuns(deps, hold);
  const subject = taskSubject(partitionOf(task.project), task.taskId);
  return runGraph(
    workflow,
    {
      taskId: task.taskId,
      input,
      task: {
        id: task.taskId,
        workflow: task.workflow,
        revision: task.revision,
        createTime: new Date(task.createTime === undefined ? 0 : timestampMs(task.createTime)).toISOString(),
        labels: { ...task.labels },
        priority: task.priority,
      },
      stored,
    },
    {
      record,
      progress: (node, delta) => deps.live.publish(subject, { node, delta }),
      signal: abort.signal,
      outbound: deps.outbound,
      now: deps.now,
      sleep,
      random: Math.random,
      maxHoldMs,
      unexpected: (error, path) =>
        deps.log.error({ taskId: task.taskId, node: path, err: error }, "a node met an error that nobody expected"),
    },
  );
}

async function storedRuns(deps: RunDeps, hold: Hold): Promise<readonly StoredRun[]> {
  return Promise.all(
    hold.task.nodes.map(async (node): Promise<StoredRun> => {
      const output = node.output === undefined ? undefined : parseJson(await read(deps, hold, node.output));
      return {
        path: node.path,
        state: stateOf(node.state),
        tries: node.tries,
        startTimeMs: node.startTime === undefined ? 0 : timestampMs(node.startTime),
        ...(output === undefined ? {} : { output }),
        ...(node.error === undefined ? {} : { error: failureOf(node.error) }),
      };
    }),
  );
}

function stateOf(state: NodeState): StoredRun["state"] {
  switch (state) {
    case NodeState.SUCCEEDED:
      return "succeeded";
    case NodeState.FAILED:
      return "failed";
    case NodeState.SKIPPED:
      return "skipped";
    default:
      return "running";
  }
}

async function read(deps: RunDeps, hold: Hold, payload: Payload | undefined): Promise<Uint8Array> {
  if (payload?.value.case === "json") return payload.value.value;
  if (payload?.value.case !== "key") return Buffer.from("null");
  const request = { key: payload.value.value, project: hold.task.project };
  const { json } = await patiently(hold, () => deps.client.readPayload(request));
  return json;
}

/** Asks until it is answered or the task is stopped: a scheduler that is away says nothing against the task, and heartbeats keep it meanwhile. */
async function patiently<T>(hold: Hold, ask: () => T | Promise<T>, asked: T | Promise<T> = ask()): Promise<T> {
  let answer = asked;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      return await answer;
    } catch (why) {
      const isPassing = why instanceof LonghaulError && (why.code === "unavailable" || why.code === "deadline_exceeded");
      if (!isPassing) throw why;
    }
    await sleep(pauseMs, hold.abort.signal);
    answer = ask();
  }
}

function parseJson(bytes: Uint8Array): Json {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
}
