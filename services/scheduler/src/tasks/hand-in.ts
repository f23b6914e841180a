import { randomUUID } from "node:crypto";
import {
  isEnded,
  isResult,
  type Json,
  LonghaulError,
  type NodeRun,
  type PayloadStore,
  type Task,
  type TaskKey,
  type TaskStore,
} from "@longhaul/core";
import type { CompiledWorkflow } from "@longhaul/workflow";
import type { Ledger } from "../ledger/ledger.ts";
import type { Catalog } from "../workflows/catalog.ts";
import { payloadWriter } from "./payloads.ts";
import { checkPayload, type Target, targetByName, targetByPath } from "./signal-target.ts";
import { notFound } from "./watch-task.ts";

export interface HandInDeps {
  readonly store: TaskStore;
  readonly payloads: PayloadStore;
  readonly ledger: Ledger;
  readonly catalog: Catalog;
  readonly now: () => number;
  /** Largest single value, in bytes of JSON. */
  readonly maxValueBytes: number;
}

export interface HandIn {
  readonly key: TaskKey;
  readonly to: { readonly node: string } | { readonly name: string };
  readonly payload: Json;
  /** Who sends it, for people. */
  readonly by: string;
  /** What to say when the task, or the node's time, is over: a link is then past its time, a signal meets a conflict. */
  readonly late: "expired" | "conflict";
}

/** Where a task and one of its nodes stand. */
export interface Standing {
  readonly task: Task;
  readonly compiled: CompiledWorkflow;
  readonly target: Target;
  readonly run: NodeRun | undefined;
}

const maxRounds = 8;

/** Thrown out of a compare-and-set: reports came in since the node was looked at. */
class MovedOn extends Error {}

/**
 * Hands a value to a node, once. It is durable when this resolves, whether the node waits already or will only come to it.
 * Throws `task_not_found`, `invalid_argument` (no such node), `invalid_input`, `conflict` (the node has been answered), `expired`,
 * `rate_limited` (the inbox is full).
 */
export async function handIn(deps: HandInDeps, request: HandIn): Promise<{ readonly task: Task; readonly node: string }> {
  const json = JSON.stringify(request.payload);
  if (Buffer.byteLength(json) > deps.maxValueBytes)
    throw new LonghaulError("too_large", `The payload is larger than ${deps.maxValueBytes} bytes of JSON.`);
  const writer = payloadWriter(deps.payloads);
  const payload = writer.add(json, `${request.key.id}/arrivals/${randomUUID()}`);
  for (let round = 0; round < maxRounds; round++) {
    const { task: seen, target, run } = await standingOf(deps, request.key, request.to);
    checkOpen(seen, target, run, deps.now(), request.late);
    checkPayload(target, request.payload);
    if (round === 0) await writer.flush();
    try {
      const [outcome] = await deps.ledger.apply([
        {
          key: request.key,
          event: (task) => {
            // Only a report ends a node: none has come since the node was looked at, so it is still open.
            if (!isEnded(task) && (task.attempt !== seen.attempt || task.report !== seen.report)) throw new MovedOn();
            return { kind: "arrive", node: target.node, by: request.by, payload, once: true };
          },
        },
      ]);
      if (outcome?.kind === "changed") return { task: outcome.task, node: target.node };
      if (outcome?.kind !== "refused") throw notFound(request.key.id);
      if (outcome.why === "ended") throw over(outcome.task, request.late);
      if (outcome.why === "inbox-full") {
        const message = "More has arrived for the task than it has looked at; try again in a moment.";
        throw new LonghaulError("rate_limited", message, { retryAfterMs: 1_000 });
      }
      throw answered(target.node);
    } catch (why) {
      if (!(why instanceof MovedOn)) throw why;
    }
  }
  throw new LonghaulError("unavailable", "The task kept changing; try again.", { retryAfterMs: 100 });
}

/** Reads a task and looks for the node in its definition. Throws `task_not_found` and `invalid_argument`. */
export async function standingOf(deps: Pick<HandInDeps, "store" | "catalog">, key: TaskKey, to: HandIn["to"]): Promise<Standing> {
  const [stored] = await deps.store.get([key]);
  if (stored === undefined) throw notFound(key.id);
  const { task } = stored;
  const compiled = await deps.catalog.compiledOf(task.project, task.workflow, task.revision);
  const node = "node" in to ? to.node : targetByName(compiled, to.name, task).node;
  const [run] = await deps.store.getNodeRuns([{ ...key, path: node }]);
  return { task, compiled, target: targetByPath(compiled, node, run?.wait?.kind), run };
}

/** Throws when the node takes nothing more. */
export function checkOpen(task: Task, { node }: Target, run: NodeRun | undefined, now: number, late: HandIn["late"]): void {
  if (run !== undefined && isResult(run.state)) {
    if (run.error?.code === "node_timeout") throw tooLate(`Node "${node}" waited until its time was up.`, late);
    throw answered(node);
  }
  if (isEnded(task)) throw over(task, late);
  if (run?.wait?.until !== undefined && run.wait.until <= now)
    throw tooLate(`Node "${node}" waited until ${new Date(run.wait.until).toISOString()}.`, late);
}

function over(task: Task, late: HandIn["late"]): LonghaulError {
  return tooLate(`The task is ${task.state}; nothing waits any more.`, late);
}

function tooLate(message: string, late: HandIn["late"]): LonghaulError {
  return new LonghaulError(late, message);
}

function answered(node: string): LonghaulError {
  return new LonghaulError("conflict", `Node "${node}" has been answered already; it takes one value.`);
}
