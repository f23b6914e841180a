import type { NodeRunFilter, NodeRunKey, TaskKey, TaskQuery } from "@longhaul/core";
import type { Document, Filter, Sort } from "mongodb";
import type { NodeRunDocument } from "./node-run-document.ts";
import { collections, indexes } from "./schema.ts";
import { labelTerm, type TaskDocument } from "./task-document.ts";

/** A query and the index that answers it, in order and without a sort. */
export interface Query<T = TaskDocument> {
  readonly filter: Filter<T>;
  readonly sort: Sort;
  readonly limit: number;
  readonly hint: string;
  readonly projection?: Document;
}

const newestFirst: Sort = { createTime: -1, _id: -1 };

/** One command for many tasks; its batch is one larger than the answer, so that the cursor ends with it. */
export function tasksByKeys(keys: readonly TaskKey[]): Document {
  const ids = [...new Set(keys.map((key) => key.id))];
  const projects = [...new Set(keys.map((key) => key.project))];
  return {
    find: collections.tasks,
    filter: { _id: { $in: ids }, project: { $in: projects } },
    batchSize: ids.length + 1,
    hint: { _id: 1 },
  };
}

export function dueTasks(
  partitions: readonly number[],
  until: number,
  limit: number,
  after?: { readonly wakeAt: number; readonly id: string },
): Query {
  // The times bound the index; only among tasks of one time does the id decide.
  const behind = after ? { $or: [{ wakeAt: { $gt: after.wakeAt } }, { _id: { $gt: after.id } }] } : {};
  return {
    filter: { partition: { $in: [...partitions] }, wakeAt: { $gte: after?.wakeAt ?? 0, $lte: until }, ...behind },
    sort: { wakeAt: 1, _id: 1 },
    limit,
    hint: indexes.due,
  };
}

export function nextDueTask(partitions: readonly number[]): Query {
  return {
    filter: { partition: { $in: [...partitions] }, wakeAt: { $gte: 0 } },
    sort: { wakeAt: 1, _id: 1 },
    limit: 1,
    hint: indexes.due,
    projection: { _id: 0, wakeAt: 1 },
  };
}

export function backlogTasks(partition: number, limit: number): Query {
  return {
    filter: { partition, backlog: true },
    sort: { priority: -1, createTime: 1, _id: 1 },
    limit,
    hint: indexes.backlog,
  };
}

export function limitedTasks(project: string, key: string, limit: number): Query {
  return {
    filter: { project, "head.queueing.key": key, "head.queueing.kind": "limited" },
    sort: { priority: -1, createTime: 1, _id: 1 },
    limit,
    hint: indexes.limited,
  };
}

/** Ended tasks that owe nothing, the earliest end first; those whose removal was cut off as well. */
export function expiredTasks(settledBy: number, limit: number): Query {
  return {
    filter: { wakeAt: null, "head.endTime": { $lte: settledBy } },
    sort: { "head.endTime": 1, _id: 1 },
    limit,
    hint: indexes.settled,
    projection: { project: 1, rev: 1, "head.endTime": 1 },
  };
}

/** The conditions of a list, without its words. */
export function listFilter(query: TaskQuery): Filter<TaskDocument> {
  const { project, states, workflow, createdAfter, after } = query;
  const labels = Object.entries(query.labels ?? {}).map(([name, value]) => labelTerm(name, value));
  const times = {
    ...(createdAfter === undefined ? {} : { $gt: createdAfter }),
    ...(after === undefined ? {} : { $lte: after.createTime }),
  };
  return {
    project,
    removing: { $exists: false },
    ...(states === undefined ? {} : { state: { $in: [...new Set(states)] } }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(labels.length === 0 ? {} : { labels: { $all: labels } }),
    ...(createdAfter === undefined && after === undefined ? {} : { createTime: times }),
    ...(after === undefined ? {} : { $or: [{ createTime: { $lt: after.createTime } }, { _id: { $lt: after.id } }] }),
  };
}

/** What narrows a list most decides the index: labels, then the workflow, then the states; the rest is filtered on the way. */
export function listedTasks(query: TaskQuery): Query {
  const labelled = Object.keys(query.labels ?? {}).length > 0;
  const hint = labelled
    ? indexes.byLabel
    : query.workflow !== undefined
      ? indexes.byWorkflow
      : query.states !== undefined
        ? indexes.byState
        : indexes.byTime;
  return { filter: listFilter(query), sort: newestFirst, limit: query.limit, hint };
}

export function taskById(query: TaskQuery, id: string): Query {
  return { filter: { $and: [{ _id: id }, listFilter(query)] }, sort: { _id: 1 }, limit: 1, hint: "_id_" };
}

/** Tasks whose words are not in the search index yet, newest first. */
export function unindexedTasks(query: TaskQuery): Query {
  return { filter: { ...listFilter(query), unindexed: true }, sort: newestFirst, limit: 0, hint: indexes.unindexed };
}

export function childrenOf(project: string, parentId: string, limit: number, after?: string): Query {
  const behind = after === undefined ? {} : { _id: { $gt: after } };
  return {
    filter: { project, "parent.id": parentId, removing: { $exists: false }, ...behind },
    sort: { _id: 1 },
    limit,
    hint: indexes.byParent,
  };
}

export function nodeRunsByKeys(
  keys: readonly NodeRunKey[],
): Omit<Query<NodeRunDocument>, "sort" | "limit"> & { batchSize: number } {
  const ids = [...new Set(keys.map(({ id, path }) => `${id}/${path}`))];
  const projects = [...new Set(keys.map(({ project }) => project))];
  return { filter: { _id: { $in: ids }, project: { $in: projects } }, hint: "_id_", batchSize: ids.length + 1 };
}

/** No path goes on with it: it sorts behind everything that begins with a prefix. */
const lastCharacter = "\u{10ffff}";

/** What the index alone tells of a path. */
function pathsOf({ prefix = "", top }: NodeRunFilter): Filter<NodeRunDocument> {
  const begins = prefix === "" ? {} : { $gte: prefix, $lt: `${prefix}${lastCharacter}` };
  // Behind the prefix, which is passed over by its length: nothing of it needs escaping then.
  const ends = top === true ? { $regex: `^.{${Array.from(prefix).length}}([^[\\]]|\\](?!\\.))*$`, $options: "s" } : {};
  return prefix === "" && top !== true ? {} : { path: { ...begins, ...ends } };
}

export function nodeRunsOf(
  key: TaskKey,
  limit: number,
  after?: { readonly attempt: number; readonly report: number; readonly path?: string },
  only: NodeRunFilter = {},
): Query<NodeRunDocument> {
  // Three disjoint ranges of one index, so that a page deep in a long task reads no more than itself.
  const ranges: Filter<NodeRunDocument>[] = after
    ? [
        { attempt: { $gt: after.attempt } },
        { attempt: after.attempt, report: { $gt: after.report } },
        ...(after.path === undefined ? [] : [{ attempt: after.attempt, report: after.report, path: { $gt: after.path } }]),
      ]
    : [];
  return {
    filter: { taskId: key.id, project: key.project, ...pathsOf(only), ...(after ? { $or: ranges } : {}) },
    sort: { attempt: 1, report: 1, path: 1 },
    limit,
    hint: indexes.byTask,
  };
}
