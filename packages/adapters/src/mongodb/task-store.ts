import type { Change, NodeRun, NodeRunKey, ReplaceResult, Stored, Task, TaskKey, TaskStore } from "@longhaul/core";
import { compareAndSet, type FieldChange } from "./compare-and-set.ts";
import type { Fallible, Mongo } from "./connection.ts";
import { gatherBatches } from "./gather-batches.ts";
import { insertNew } from "./insert-new.ts";
import { type NodeRunDocument, nodeRunFromDocument, nodeRunSize } from "./node-run-document.ts";
import { readNow } from "./read-now.ts";
import { listExpiredTasks, removeTasks } from "./remove-tasks.ts";
import { collections } from "./schema.ts";
import { searchTasks } from "./search-tasks.ts";
import { changedSize, storedFromDocument, type TaskDocument, taskChange, taskSize, taskToDocument } from "./task-document.ts";
import * as queries from "./task-queries.ts";
import { newWriteId } from "./write-id.ts";
import { writeNodeRuns } from "./write-node-runs.ts";

export function mongoTaskStore(mongo: Mongo): TaskStore {
  const tasks = mongo.db.collection<TaskDocument>(collections.tasks);
  const nodeRuns = mongo.db.collection<NodeRunDocument>(collections.nodeRuns);

  const insert = gatherBatches<Task, "inserted" | "exists">(
    (group) => insertNew(mongo, collections.tasks, group.map(taskToDocument)),
    taskSize,
  );

  const replace = gatherBatches<Change, ReplaceResult>((group) => replaceTasks(mongo, group), changeSize);

  const get = gatherBatches<TaskKey, Stored | undefined>(
    (group) => getTasks(mongo, group),
    () => 0,
  );

  const putNodeRuns = gatherBatches(
    async (group: Parameters<TaskStore["putNodeRuns"]>[0]) => await writeNodeRuns(mongo, group),
    nodeRunSize,
  );

  async function read(query: queries.Query): Promise<readonly Stored[]> {
    return await mongo.attempt(async () => {
      const { filter, ...options } = query;
      return (await tasks.find(filter, { ...options, batchSize: query.limit }).toArray()).map(storedFromDocument);
    });
  }

  return {
    insert,
    get,
    replace,
    listDue: async (partitions, until, limit, after) =>
      partitions.length === 0 ? [] : await read(queries.dueTasks(partitions, until, limit, after)),
    nextDue: async (partitions) => {
      if (partitions.length === 0) return undefined;
      const { filter, ...options } = queries.nextDueTask(partitions);
      const next = await mongo.attempt(() => tasks.findOne(filter, options));
      return next?.wakeAt ?? undefined;
    },
    listBacklog: (partition, limit) => read(queries.backlogTasks(partition, limit)),
    listLimited: (project, key, limit) => read(queries.limitedTasks(project, key, limit)),
    countLimited: (project, key, limit) =>
      mongo.attempt(() => {
        const { filter, hint } = queries.limitedTasks(project, key, limit);
        return tasks.countDocuments(filter, { hint, limit });
      }),
    list: async (query) => {
      if (query.states?.length === 0) return [];
      if (query.q === undefined) return await read(queries.listedTasks(query));
      const byId = await read(queries.taskById(query, query.q));
      return byId.length > 0 ? byId : await searchTasks(mongo, query, query.q);
    },
    listChildren: (project, parentId, limit, after) => read(queries.childrenOf(project, parentId, limit, after)),
    getNodeRuns: async (keys) => (keys.length === 0 ? [] : await getNodeRuns(mongo, keys)),
    listNodeRuns: (key, limit, after, only) =>
      mongo.attempt(async () => {
        const { filter, ...options } = queries.nodeRunsOf(key, limit, after, only);
        return (await nodeRuns.find(filter, { ...options, batchSize: limit }).toArray()).map(nodeRunFromDocument);
      }),
    putNodeRuns: async (runs) => void (await putNodeRuns(runs)),
    listExpired: (settledBy, limit) => listExpiredTasks(mongo, settledBy, limit),
    remove: async (expired) => (expired.length === 0 ? 0 : await removeTasks(mongo, expired)),
    now: () => readNow(mongo),
  };
}

async function replaceTasks(mongo: Mongo, group: readonly Change[]): Promise<readonly Fallible<ReplaceResult>[]> {
  const runs = group.flatMap((change) => change.nodeRuns ?? []);
  const runErrors = await writeNodeRuns(mongo, runs);
  const results: Fallible<ReplaceResult>[] = group.map(() => "stale");
  // A header counts its runs, so it is written only when they all are.
  const sound: number[] = [];
  let from = 0;
  group.forEach((change, index) => {
    const to = from + (change.nodeRuns?.length ?? 0);
    const error = runErrors.slice(from, to).find((one) => one !== undefined);
    from = to;
    if (error) results[index] = error;
    else sound.push(index);
  });
  const changes = sound.flatMap((index) => (group[index] ? fieldChange(group[index]) : []));
  const outcomes = await compareAndSet(mongo, collections.tasks, changes);
  sound.forEach((index, at) => {
    results[index] = outcomes[at] ?? "stale";
  });
  return results;
}

function changeSize({ next, nodeRuns = [] }: Change): number {
  return changedSize(next) + nodeRuns.reduce((sum, run) => sum + nodeRunSize(run), 0);
}

function fieldChange({ next, rev }: Change): FieldChange {
  return { id: next.id, project: next.project, rev, writeId: newWriteId(), fields: taskChange(next) };
}

async function getNodeRuns(mongo: Mongo, keys: readonly NodeRunKey[]): Promise<readonly (NodeRun | undefined)[]> {
  const runs = mongo.db.collection<NodeRunDocument>(collections.nodeRuns);
  const { filter, ...options } = queries.nodeRunsByKeys(keys);
  const documents = await mongo.attempt(() => runs.find(filter, options).toArray());
  const found = new Map(documents.map((document) => [document._id, document]));
  return keys.map(({ project, id, path }) => {
    const document = found.get(`${id}/${path}`);
    return document?.project === project ? nodeRunFromDocument(document) : undefined;
  });
}

async function getTasks(mongo: Mongo, keys: readonly TaskKey[]): Promise<readonly (Stored | undefined)[]> {
  const reply = await mongo.command(queries.tasksByKeys(keys));
  const { id, firstBatch }: { id: unknown; firstBatch: readonly TaskDocument[] } = reply["cursor"];
  if (id !== 0 && keys.length > 1) {
    // More than an answer holds (16 MB): the server's cursor ends by itself, and halves fit.
    const half = keys.length >> 1;
    return [...(await getTasks(mongo, keys.slice(0, half))), ...(await getTasks(mongo, keys.slice(half)))];
  }
  const found = new Map(firstBatch.map((document) => [document._id, document]));
  return keys.map((key) => {
    const document = found.get(key.id);
    return document?.project === key.project && document.removing === undefined ? storedFromDocument(document) : undefined;
  });
}
