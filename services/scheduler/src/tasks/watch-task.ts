import { create } from "@bufbuild/protobuf";
import {
  isEnded,
  type Json,
  type Live,
  LonghaulError,
  type NodeRun,
  type PayloadStore,
  partitionOf,
  type Task,
  type TaskKey,
  type TaskStore,
  taskSubject,
} from "@longhaul/core";
import { type TaskServiceWatchResponse, TaskServiceWatchResponseSchema } from "@longhaul/proto/task_service";
import { valueFromJson } from "@longhaul/shared";
import type { Bells } from "../loops/bells.ts";
import { showNodeRuns } from "./node-run-message.ts";
import { showTask } from "./read-tasks.ts";

export interface WatchDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly live: Live;
  readonly bells: Bells;
}

/** Read again at least this often: the net behind the bells. */
const rereadMs = 5_000;
const nodePage = 100;
/** Values of node runs beyond this are left out of the stream; ListNodeRuns has them. */
const maxNodeBytes = 1_048_576;
/** Progress that a slow reader has not taken; beyond it the oldest goes. */
const maxProgress = 256;

/** Whether this can be a task's id at all; only then it may become part of a subject. */
function isTaskId(id: string): boolean {
  return /^[0-9a-f-]{36}$/.test(id);
}

/** A bell that rings for one task: wakes whoever waits, and remembers that it rang. */
interface Bell {
  /** Resolves when it rang since the last call, or after `rereadMs`, or when `signal` aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  takeProgress(): readonly { readonly node: string; readonly delta: Json }[];
  readonly ready: Promise<void>;
  close(): void;
}

function bellOf({ bells, live }: Pick<WatchDeps, "bells" | "live">, key: TaskKey, withProgress: boolean): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  let progress: { readonly node: string; readonly delta: Json }[] = [];
  const ring = (): void => {
    rung = true;
    wake?.();
  };
  const subscription = bells.listen(key, ring);
  const said = !withProgress
    ? undefined
    : live.subscribe(taskSubject(partitionOf(key.project), key.id), (message) => {
        const delta = progressOf(message);
        if (delta === undefined) return;
        if (progress.length >= maxProgress) progress.shift();
        progress.push(delta);
        ring();
      });
  return {
    ready: Promise.all([subscription.ready, said?.ready]).then(() => {}),
    takeProgress() {
      const taken = progress;
      progress = [];
      return taken;
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted && ms > 0) {
        await new Promise<void>((resolve) => {
          wake = () => {
            clearTimeout(timer);
            signal.removeEventListener("abort", done);
            resolve();
          };
          const done = (): void => wake?.();
          const timer = setTimeout(done, ms);
          signal.addEventListener("abort", done, { once: true });
        });
        wake = undefined;
      }
      rung = false;
    },
    close() {
      subscription.close();
      said?.close();
    },
  };
}

function progressOf(message: Json): { readonly node: string; readonly delta: Json } | undefined {
  if (message === null || typeof message !== "object" || !("node" in message) || !("delta" in message)) return undefined;
  const { node, delta } = message as { readonly node: Json; readonly delta: Json };
  return typeof node === "string" ? { node, delta } : undefined;
}

/** The task once `isEnough` holds, or as it is when `waitMs` have passed. Subscribes first, then reads. */
export async function waitForTask(
  deps: WatchDeps,
  key: TaskKey,
  isEnough: (task: Task) => boolean,
  waitMs: number,
  signal: AbortSignal,
): Promise<Task> {
  const read = async (): Promise<Task> => {
    const [found] = await deps.store.get([key]);
    if (found === undefined) throw notFound(key.id);
    return found.task;
  };
  if (waitMs <= 0 || !isTaskId(key.id)) return read();
  const until = Date.now() + waitMs;
  const bell = bellOf(deps, key, false);
  try {
    await bell.ready;
    for (;;) {
      const task = await read();
      const left = until - Date.now();
      if (isEnough(task) || isEnded(task) || left <= 0 || signal.aborted) return task;
      await bell.wait(Math.min(left, rereadMs), signal);
    }
  } finally {
    bell.close();
  }
}

/** Where a watcher stands: everything up to here has been sent. */
interface Position {
  version: number;
  attempt: number;
  report: number;
}

/**
 * The present state, then every change, until the task has ended. Always reads what is stored: a slow reader gets fewer, newer
 * snapshots and nothing is buffered for it.
 */
export async function* watchTask(
  deps: WatchDeps,
  key: TaskKey,
  lastEventId: string,
  signal: AbortSignal,
): AsyncGenerator<TaskServiceWatchResponse> {
  const position = parsePosition(lastEventId);
  if (!isTaskId(key.id)) throw notFound(key.id);
  const bell = bellOf(deps, key, true);
  try {
    await bell.ready;
    for (;;) {
      const [found] = await deps.store.get([key]);
      if (found === undefined) throw notFound(key.id);
      const { task } = found;
      // Node runs of the snapshot first, so that a reader who stops at the task's id has missed none before it.
      yield* nodesSince(deps, key, task, position);
      if (task.version > position.version || isEnded(task)) {
        position.version = task.version;
        const value = await showTask(deps.payloads, task);
        yield create(TaskServiceWatchResponseSchema, {
          id: idOf(position),
          event: isEnded(task) ? { case: "end", value } : { case: "task", value },
        });
        if (isEnded(task)) return;
      }
      await bell.wait(rereadMs, signal);
      if (signal.aborted) return;
      for (const { node, delta } of bell.takeProgress()) {
        yield create(TaskServiceWatchResponseSchema, {
          event: { case: "progress", value: { node, delta: valueFromJson(delta) } },
        });
      }
    }
  } finally {
    bell.close();
  }
}

async function* nodesSince(
  deps: WatchDeps,
  key: TaskKey,
  task: Task,
  position: Position,
): AsyncGenerator<TaskServiceWatchResponse> {
  if (task.attempt < position.attempt || (task.attempt === position.attempt && task.report <= position.report)) return;
  let after: { attempt: number; report: number; path?: string } = { attempt: position.attempt, report: position.report };
  for (;;) {
    const read: readonly NodeRun[] = await deps.store.listNodeRuns(key, nodePage, after);
    // Node runs are written before the header that counts them: those of a report that is not through yet come with it, whole.
    const page = read.filter(
      ({ attempt, report }) => attempt < task.attempt || (attempt === task.attempt && report <= task.report),
    );
    const shown = await showNodeRuns(deps.payloads, task, page, maxNodeBytes);
    for (const [i, value] of shown.entries()) {
      const run = page[i];
      if (run === undefined) break;
      // All runs of one report share its id: it moves on only behind the last of them.
      const next = page[i + 1];
      const isLastOfReport =
        next === undefined ? page.length < nodePage : next.report !== run.report || next.attempt !== run.attempt;
      if (isLastOfReport) {
        position.attempt = run.attempt;
        position.report = run.report;
      }
      yield create(TaskServiceWatchResponseSchema, {
        id: idOf(position),
        event: { case: "node", value },
      });
    }
    const last = page.at(-1);
    if (last === undefined || page.length < nodePage) break;
    after = { attempt: last.attempt, report: last.report, path: last.path };
  }
  position.attempt = Math.max(position.attempt, task.attempt);
  if (position.attempt === task.attempt) position.report = Math.max(position.report, task.report);
}

/** Before the first report is through there is no place to take the stream up at but its beginning, which has no id. */
function idOf({ version, attempt, report }: Position): string {
  if (report < 0) return "";
  return `${version}.${attempt}.${report}`;
}

function parsePosition(id: string): Position {
  if (id === "") return { version: 0, attempt: 0, report: -1 };
  const match = /^(\d{1,15})\.(\d{1,9})\.(\d{1,9})$/.exec(id);
  if (match === null) {
    const message =
      "The last event id is not version.attempt.report, as this stream writes it; leave it out to start with the present state.";
    throw new LonghaulError("invalid_argument", message, { faults: [{ pointer: "/lastEventId", message }] });
  }
  return { version: Number(match[1]), attempt: Number(match[2]), report: Number(match[3]) };
}

export function notFound(id: string): LonghaulError {
  return new LonghaulError("task_not_found", `There is no task ${JSON.stringify(id.slice(0, 64))} in this project.`);
}
