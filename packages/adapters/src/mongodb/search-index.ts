import { setImmediate as turnOfLoop } from "node:timers/promises";
import { Binary, type Document } from "mongodb";
import { durable, type Mongo } from "./connection.ts";
import { takeLock } from "./lock.ts";
import { collections, indexes } from "./schema.ts";
import { type TaskDocument, textOf } from "./task-document.ts";
import { wordsOf } from "./words.ts";
import { newWriteId } from "./write-id.ts";

/** How many tasks a segment holds at most; a position in it is one byte. */
export const segmentSize = 256;

const tasksPerTurn = 16;

type Unindexed = Pick<TaskDocument, "_id" | "project" | "createTime" | "text" | "input">;

/** The words of up to 256 tasks of one project, and for each word the positions of the tasks in which it occurs. */
interface SegmentDocument {
  readonly _id: string;
  readonly project: string;
  readonly newest: number;
  readonly oldest: number;
  readonly ids: readonly string[];
  readonly times: readonly number[];
  readonly words: readonly string[];
  readonly posts: readonly Binary[];
}

/**
 * Moves up to 256 tasks from the list of unindexed ones into the index; with fewer than `atLeast` waiting it leaves them, because a search
 * reads so few as they are and large segments share their words. Answers how many it moved. The segment comes first and the mark goes
 * last: after a crash between the two some tasks are in two segments, which a search doesn't mind.
 */
export async function indexTexts(mongo: Mongo, atLeast: number = segmentSize): Promise<number> {
  const tasks = mongo.db.collection<TaskDocument>(collections.tasks);
  const waiting = await countWaiting(mongo);
  if (waiting === 0 || waiting < atLeast) return 0;
  const fields = { project: 1, createTime: 1, text: 1, input: 1 } as const;
  const batch = await mongo.attempt(() =>
    tasks
      .find({ unindexed: true }, { hint: indexes.unindexed, limit: segmentSize, batchSize: segmentSize })
      .project<Unindexed>(fields)
      .toArray(),
  );
  const byProject = new Map<string, Unindexed[]>();
  for (const task of batch) byProject.set(task.project, [...(byProject.get(task.project) ?? []), task]);
  const segments: SegmentDocument[] = [];
  for (const group of byProject.values()) segments.push(await segmentOf(group));
  const search = mongo.db.collection<SegmentDocument>(collections.search);
  await mongo.attempt(() => search.insertMany(segments, { ordered: false }).catch(ignoreDuplicates));
  // Each task names its segment, so that the last one to be removed can take the segment along.
  const updates = segments.map(({ _id, ids }) => ({
    q: { _id: { $in: ids }, unindexed: true },
    u: { $unset: { unindexed: "" }, $set: { segment: _id } },
    multi: true,
    hint: { _id: 1 },
  }));
  await mongo.command({ update: collections.tasks, updates, ordered: false, writeConcern: durable });
  return batch.length;
}

/** How many tasks wait to be indexed, counted up to `limit`. */
function countWaiting(mongo: Mongo, limit = segmentSize): Promise<number> {
  const tasks = mongo.db.collection<TaskDocument>(collections.tasks);
  return mongo.attempt(() => tasks.countDocuments({ unindexed: true }, { hint: indexes.unindexed, limit }));
}

function ignoreDuplicates(error: Document): void {
  if (error["code"] !== 11_000) throw error;
}

/** Lets go of the event loop now and then: hundreds of texts would hold up everything else for milliseconds. */
async function segmentOf(tasks: readonly Unindexed[]): Promise<SegmentDocument> {
  const positions = new Map<string, number[]>();
  for (const [at, task] of tasks.entries()) {
    if (at % tasksPerTurn === tasksPerTurn - 1) await turnOfLoop();
    for (const word of wordsOf(textOf(task))) {
      const list = positions.get(word);
      if (list) list.push(at);
      else positions.set(word, [at]);
    }
  }
  const times = tasks.map((task) => task.createTime);
  return {
    _id: newWriteId(),
    project: tasks[0]?.project ?? "",
    newest: Math.max(...times),
    oldest: Math.min(...times),
    ids: tasks.map((task) => task._id),
    times,
    words: [...positions.keys()],
    posts: [...positions.values()].map((list) => new Binary(Uint8Array.from(list))),
  };
}

/** How often an idle process looks whether a batch is full. */
const idleMs = 2_000;
const lockMs = 15_000;
/** A process whose event loop is taken up for more than this share has tasks to look after first. */
const busyShare = 0.25;
/** So many unindexed tasks are indexed however busy the process is: a search reads each of them. */
const maxUnindexed = 50_000;
/** How often a busy process counts them. */
const countMs = 15_000;

/**
 * Keeps the index up in the background, when this process has little else to do: indexing a task costs the server as much as half of its
 * other writes. Under load it falls behind, up to `maxWaiting` tasks, and searches read more tasks as they are. It rests four times as
 * long as it worked, so it never takes more than a fifth of one connection's time. Answers how to stop it. `busy` tells the share of its
 * time that the process was busy since it was asked before.
 */
export function startSearchIndexer(
  mongo: Mongo,
  onError: (error: unknown) => void,
  busy: () => number = eventLoopShare(),
  maxWaiting = maxUnindexed,
): () => Promise<void> {
  const owner = newWriteId();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  let countedAt = Number.NEGATIVE_INFINITY;
  let isFarBehind = false;

  const schedule = (ms: number): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      running = turn();
    }, ms);
    timer.unref();
  };

  /** Whether tasks can do without the index for now. */
  async function mayWait(): Promise<boolean> {
    if (busy() < busyShare) return false;
    const at = performance.now();
    if (at - countedAt >= countMs) {
      countedAt = at;
      isFarBehind = (await countWaiting(mongo, maxWaiting)) >= maxWaiting;
    }
    return !isFarBehind;
  }

  async function turn(): Promise<void> {
    const start = performance.now();
    let moved = 0;
    try {
      const full = !(await mayWait()) && (await countWaiting(mongo)) >= segmentSize;
      if (full && (await takeLock(mongo, "search", owner, lockMs))) moved = await indexTexts(mongo);
    } catch (error) {
      onError(error);
    }
    schedule(moved > 0 ? (performance.now() - start) * 4 : idleMs);
  }

  schedule(0);
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await running;
  };
}

/** The share of time in which the event loop was busy, between one call and the next. */
function eventLoopShare(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
