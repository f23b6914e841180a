import type { Failure, Json } from "@longhaul/core";
import type { JsonObject } from "../expression/cel-value.ts";
import type { Scope } from "../expression/scope.ts";
import type { GraphRun } from "./graph-run.ts";
import type { StoredRun } from "./task-run.ts";

/** Whom a graph belongs to: the task, or an item of a `foreach`. */
export interface GraphOwner {
  /** Every node has settled. */
  onSettled(graph: GraphRun): void;
  /** A node has failed for good and there is no other way on. */
  onFailed(graph: GraphRun, error: Failure): void;
  /** Something of the graph is about to be recorded that a later attempt must find again, because it took more than a moment. */
  onOpened(): void;
}

/** Where a graph stands. */
export interface GraphPlace {
  /** What its node's ids stand behind in paths: empty, or `each[3].`. */
  readonly prefix: string;
  readonly owner: GraphOwner;
  /** Runs of earlier attempts by path; those of other graphs do no harm. */
  readonly stored: ReadonlyMap<string, StoredRun> | undefined;
  /** What its nodes see; `nodes` and `errors` are to be filled by the graph alone from now on. */
  readonly scope: Scope & { readonly nodes: Record<string, Json>; readonly errors: Record<string, Json> };
}

/** The values of some ids, those that there are. */
export function pick(all: JsonObject, ids: Iterable<string>): Record<string, Json> {
  const picked: Record<string, Json> = Object.create(null);
  for (const id of ids) {
    const value = all[id];
    if (value !== undefined) picked[id] = value;
  }
  return picked;
}
