import type { ExpiredStore } from "../retention/expired.ts";
import type { NodeRun } from "../task/node-run.ts";
import type { Task, TaskId, TaskKey, TaskStateName } from "../task/task.ts";

/** A task as stored, with the revision that compare-and-set goes by. */
export interface Stored {
  readonly task: Task;
  /** Counts writes, from 0. */
  readonly rev: number;
}

/** One compare-and-set: `next` is written only while the stored revision is still `rev`. */
export interface Change {
  readonly next: Task;
  readonly rev: number;
  /**
   * Written before the header, each only over a run of an equal or lower attempt; a stale one is passed over in silence,
   * because then the header is stale as well.
   */
  readonly nodeRuns?: readonly NodeRun[];
}

export type InsertResult = "inserted" | "exists";
export type ReplaceResult = "replaced" | "stale";

/** Which tasks to list; all conditions hold together. Newest first: by (createTime, id) descending. */
export interface TaskQuery {
  readonly project: string;
  readonly states?: readonly TaskStateName[];
  readonly workflow?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** A task id, or words that must all occur in `text`. */
  readonly q?: string;
  readonly createdAfter?: number;
  /** Continue behind this task. */
  readonly after?: { readonly createTime: number; readonly id: string };
  readonly limit: number;
}

/** What finds a node run. */
export interface NodeRunKey extends TaskKey {
  readonly path: string;
}

/** Which node runs of a task to list; both conditions hold together. */
export interface NodeRunFilter {
  /** Only those whose path begins with this: `each[` for all that a foreach made, `each[3].` for what one item made. */
  readonly prefix?: string;
  /**
   * Only those on the first level behind the prefix, whose path has neither `[` nor `].` from there on: without a prefix the nodes of
   * the workflow itself, behind `each[` the items as such, behind `each[3].` the nodes of that item. Ids of nodes may have dots.
   */
  readonly top?: true;
}

/**
 * Keeps tasks and node runs. It compares and sets, and does not know what a lease is.
 * Every promise that resolves without an error means durably stored (MongoDB: w majority, j true; SQLite: fsynced).
 * An array comes back in the order of the array that went in. Concurrent calls are gathered into few writes by the adapter.
 * Rejects with LonghaulError `unavailable` when the database can't be reached; then nothing is known of the write.
 * Of ExpiredStore: settled is what `taskSettledAt` says, and to a task belong its node runs, its words, and every payload whose key begins
 * with its id and a slash. While a task is being removed its id is taken, although nobody sees it: an insert says "exists".
 */
export interface TaskStore extends ExpiredStore {
  insert(tasks: readonly Task[]): Promise<readonly InsertResult[]>;
  get(keys: readonly TaskKey[]): Promise<readonly (Stored | undefined)[]>;
  replace(changes: readonly Change[]): Promise<readonly ReplaceResult[]>;
  /** Tasks of these partitions whose `wakeAt` is at or before `until`, the earliest first, behind `after` where given. */
  listDue(
    partitions: readonly number[],
    until: number,
    limit: number,
    after?: { readonly wakeAt: number; readonly id: string },
  ): Promise<readonly Stored[]>;
  /** The earliest `wakeAt` of these partitions, whether past or to come. */
  nextDue(partitions: readonly number[]): Promise<number | undefined>;
  /** Queued tasks of the backlog, in the order in which they get tickets: priority descending, then createTime, then id. */
  listBacklog(partition: number, limit: number): Promise<readonly Stored[]>;
  /** Queued tasks that wait for a slot of this limit, in the order of the backlog. */
  listLimited(project: string, key: string, limit: number): Promise<readonly Stored[]>;
  /** How many there are, counted up to `limit`. */
  countLimited(project: string, key: string, limit: number): Promise<number>;
  list(query: TaskQuery): Promise<readonly Stored[]>;
  /** Tasks that this one started, by id, behind `after` where given. */
  listChildren(project: string, parentId: TaskId, limit: number, after?: TaskId): Promise<readonly Stored[]>;
  getNodeRuns(keys: readonly NodeRunKey[]): Promise<readonly (NodeRun | undefined)[]>;
  /** Node runs of a task by (attempt, report, path) ascending, behind `after` where given; with `only` those that it lets through. */
  listNodeRuns(
    key: TaskKey,
    limit: number,
    after?: { readonly attempt: number; readonly report: number; readonly path?: string },
    only?: NodeRunFilter,
  ): Promise<readonly NodeRun[]>;
  /** Writes node runs as `replace` does, without a header; for a task that is not inserted yet. */
  putNodeRuns(runs: readonly NodeRun[]): Promise<void>;
  /** The database's clock, in milliseconds since the epoch. */
  now(): Promise<number>;
}

/** Keeps values that are too large for a header. Keys are chosen by the caller and written once; `{task id}/…` goes with its task. */
export interface PayloadStore {
  /** Durable when it resolves; the same key again is harmless. From 256 KiB on an adapter may store blobs. */
  put(payloads: readonly { readonly key: string; readonly json: string }[]): Promise<void>;
  get(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
}
