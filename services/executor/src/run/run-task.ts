import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type Failure, type Live, LonghaulError, type Outbound, partitionOf, taskSubject } from "@longhaul/core";
import type { ExecutionService, HoldResult, TaskReport } from "@longhaul/proto/execution_service";
import { type Logger, resumeToken, resumeUrl, spentOf } from "@longhaul/shared";
import { runTask as runGraph, type TaskOutcome } from "@longhaul/workflow";
import type { Definitions } from "./definitions.ts";
import type { Hold } from "./hold.ts";
import { nodeCache } from "./node-cache.ts";
import { nodeServices } from "./node-services.ts";
import { patiently } from "./patiently.ts";
import type { ProjectValues } from "./project-values.ts";
import { reporter, TooLarge } from "./reporter.ts";
import { sleep } from "./sleep.ts";
import { readStored, readValue, type StoredClient, storedRuns } from "./stored-runs.ts";

export interface RunDeps {
  readonly client: StoredClient &
    Pick<
      Client<typeof ExecutionService>,
      "startChild" | "submitJob" | "acquireCall" | "releaseCall" | "readCache" | "writeCache"
    >;
  /** Unique name of this process. */
  readonly name: string;
  readonly definitions: Definitions;
  readonly values: ProjectValues;
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
  const { project, workflow: name, revision, taskId } = task;
  const { client } = deps;
  const found = deps.definitions.get(project, name, revision);
  // The first asking is made above already: only where it failed another one follows.
  const workflow =
    found instanceof Promise ? await patiently(hold, () => deps.definitions.get(project, name, revision), found) : found;
  const input = await readValue(client, hold, task.input);
  const stored = task.nodes.length === 0 ? [] : await storedRuns(client, hold, task.nodes);
  const arrivals = task.arrivals.length === 0 ? [] : await hold.inbox.all();
  const subject = taskSubject(partitionOf(project), taskId);
  const cache = nodeCache(client, deps.name, hold);
  const expireTime = task.deadline === undefined ? 0 : timestampMs(task.deadline);
  return runGraph(
    workflow,
    {
      taskId,
      input,
      task: {
        id: taskId,
        workflow: name,
        revision,
        createTime: new Date(task.createTime === undefined ? 0 : timestampMs(task.createTime)).toISOString(),
        labels: { ...task.labels },
        priority: task.priority,
      },
      stored,
      hasMoreStored: task.moreNodes,
      arrivals,
      ...(task.spent === undefined ? {} : { spent: spentOf(task.spent) }),
    },
    {
      record,
      progress: (node, delta) => deps.live.publish(subject, { node, delta }),
      signal: abort.signal,
      outbound: deps.outbound,
      now: () => deps.now() + hold.clockAheadMs,
      sleep,
      random: Math.random,
      maxHoldMs,
      secrets: (names) => deps.values.secrets(hold, names),
      services: nodeServices(client, deps.name, hold, deps.values),
      cacheGet: cache.cacheGet,
      cachePut: cache.cachePut,
      resumeUrl: (node) => resumeUrl(task.publicUrl, resumeToken(task.resumeKey, { project, taskId, node, expireTime })),
      onArrivals: hold.inbox.listen,
      readStored: (prefix, { top }) => readStored(client, hold, prefix, top),
      unexpected: (error, path) => deps.log.error({ taskId, node: path, err: error }, "a node met an error that nobody expected"),
    },
  );
}
