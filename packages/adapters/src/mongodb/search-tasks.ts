import type { Stored, TaskQuery } from "@longhaul/core";
import type { Binary, Document } from "mongodb";
import type { Mongo } from "./connection.ts";
import { collections, indexes } from "./schema.ts";
import { storedFromDocument, type TaskDocument, textOf } from "./task-document.ts";
import { listFilter, unindexedTasks } from "./task-queries.ts";
import { wordsOf } from "./words.ts";

/** Searches are rare and may read much: they get more time than a hot call. */
const searchMs = 10_000;
const segmentsPerRead = 8;
const tasksPerRead = 256;

/** A task that has all the words, before its other conditions are known to hold. */
interface Candidate {
  readonly id: string;
  readonly createTime: number;
}

interface FoundSegment {
  readonly newest: number;
  readonly ids: readonly string[];
  readonly times: readonly number[];
  /** Per word asked for, the positions of its tasks. */
  readonly hits: readonly Binary[];
}

/**
 * Tasks in which all words of `q` occur, newest first: those that the index has not reached yet by reading them, the others by the index.
 * The former are looked at first: a task that moves over between the two looks is found twice, not missed.
 */
export async function searchTasks(mongo: Mongo, query: TaskQuery, q: string): Promise<readonly Stored[]> {
  const words = [...wordsOf(q)];
  if (words.length === 0) return [];
  const fresh = await mongo.attempt(() => searchUnindexed(mongo, query, words), searchMs);
  const indexed = await mongo.attempt(() => searchIndexed(mongo, query, words), searchMs);
  const byId = new Map([...indexed, ...fresh].map((one) => [one.task.id, one]));
  const found = [...byId.values()].map((stored) => ({ stored, id: stored.task.id, createTime: stored.task.createTime }));
  return found
    .sort(newestFirst)
    .slice(0, query.limit)
    .map((one) => one.stored);
}

function newestFirst(a: Candidate, b: Candidate): number {
  return b.createTime - a.createTime || (a.id < b.id ? 1 : -1);
}

async function searchUnindexed(mongo: Mongo, query: TaskQuery, words: readonly string[]): Promise<Stored[]> {
  const { filter, ...options } = unindexedTasks(query);
  const found: Stored[] = [];
  for await (const document of mongo.db
    .collection<TaskDocument>(collections.tasks)
    .find(filter, { ...options, batchSize: tasksPerRead, maxTimeMS: searchMs })) {
    const has = wordsOf(textOf(document));
    if (words.every((word) => has.has(word))) found.push(storedFromDocument(document));
    if (found.length >= query.limit) break;
  }
  return found;
}

/** Segments that hold all the words, by their newest task. */
function matchingSegments(query: TaskQuery, words: readonly string[]): readonly Document[] {
  return [
    {
      $match: {
        project: query.project,
        words: { $all: words },
        ...(query.createdAfter === undefined ? {} : { newest: { $gt: query.createdAfter } }),
        ...(query.after === undefined ? {} : { oldest: { $lte: query.after.createTime } }),
      },
    },
    { $sort: { newest: -1 } },
    {
      $project: {
        newest: 1,
        ids: 1,
        times: 1,
        hits: words.map((word) => ({ $arrayElemAt: ["$posts", { $indexOfArray: ["$words", { $literal: word }] }] })),
      },
    },
  ];
}

async function searchIndexed(mongo: Mongo, query: TaskQuery, words: readonly string[]): Promise<Stored[]> {
  const tasks = mongo.db.collection<TaskDocument>(collections.tasks);
  const found: Stored[] = [];
  let open: Candidate[] = [];

  /** Looks up candidates that no later segment can precede, until enough are found. */
  async function settle(newerThan: number): Promise<void> {
    open.sort(newestFirst);
    const ready = open.filter((one) => one.createTime > newerThan);
    open = open.slice(ready.length);
    for (let from = 0; from < ready.length && found.length < query.limit; from += tasksPerRead) {
      const ids = ready.slice(from, from + tasksPerRead).map((one) => one.id);
      const filter = { $and: [{ _id: { $in: ids } }, listFilter(query)] };
      const documents = await tasks.find(filter, { hint: "_id_" }).toArray();
      const at = new Map(ids.map((id, index) => [id, index]));
      documents.sort((a, b) => (at.get(a._id) ?? 0) - (at.get(b._id) ?? 0));
      found.push(...documents.map(storedFromDocument));
    }
  }

  const options = { hint: indexes.byWord, batchSize: segmentsPerRead, maxTimeMS: searchMs };
  const segments = mongo.db.collection(collections.search).aggregate<FoundSegment>([...matchingSegments(query, words)], options);
  for await (const segment of segments) {
    await settle(segment.newest);
    if (found.length >= query.limit) break;
    open.push(...candidatesIn(segment).filter((one) => inPage(one, query)));
  }
  if (found.length < query.limit) await settle(Number.NEGATIVE_INFINITY);
  return found.slice(0, query.limit);
}

function inPage({ id, createTime }: Candidate, { after, createdAfter }: TaskQuery): boolean {
  if (createdAfter !== undefined && createTime <= createdAfter) return false;
  return after === undefined || createTime < after.createTime || (createTime === after.createTime && id < after.id);
}

/** The tasks of a segment that have every word asked for. */
function candidatesIn({ ids, times, hits }: FoundSegment): Candidate[] {
  const counts = new Uint8Array(ids.length);
  for (const hit of hits) for (const position of hit.buffer) counts[position] = (counts[position] ?? 0) + 1;
  return ids.flatMap((id, at) => (counts[at] === hits.length ? { id, createTime: times[at] ?? 0 } : []));
}
