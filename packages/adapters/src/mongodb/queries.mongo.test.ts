import { type Task, taskStates } from "@longhaul/core";
import { testDatabase } from "@longhaul/testkit";
import type { Document } from "mongodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  delivered,
  delivery,
  job,
  keyOf,
  nodeRun,
  queued,
  running,
  succeeded,
  startOfTime as t0,
  unsuccessful,
  waiting,
  workflowHead,
  workflowRevision,
} from "../contract/index.ts";
import { connectMongo, type Mongo } from "./connection.ts";
import { type MongoStores, openMongo } from "./open-mongo.ts";
import { indexTexts } from "./search-index.ts";

let stores: MongoStores;
let mongo: Mongo;
const project = "acme";
const tasks: Task[] = Array.from({ length: 2_000 }, (_, at) => {
  const over = {
    project: at % 4 === 3 ? "other" : project,
    partition: at % 8,
    createTime: t0 + at,
    workflow: `w${at % 5}`,
    labels: at % 10 === 0 ? { team: `t${at % 3}` } : {},
    ...(at % 20 === 0 ? { parent: { id: "mother", node: "call", awaited: true }, depth: 1 } : {}),
    text: `word${at % 50} common`,
  };
  const limited = { kind: "limited" as const, key: `llm${at % 3 === 0 ? "" : at % 7}`, until: t0 + 9e8, looks: 0 };
  if (at % 10 === 9) return queued({ ...over, queueing: limited, limitKeys: [limited.key], hold: 1 });
  const made = [queued(over), running(over), waiting(over), succeeded(over), unsuccessful(over)];
  return made[at % made.length] ?? queued(over);
});

/** A task with a large foreach. */
const fanned = queued();

beforeAll(async () => {
  const { url } = testDatabase();
  stores = await openMongo({ url, housekeeping: false });
  mongo = connectMongo({ url });
  await stores.tasks.insert(tasks);
  await stores.tasks.putNodeRuns(
    tasks.slice(0, 300).flatMap((task) => [nodeRun(task, { path: "a" }), nodeRun(task, { path: "b" })]),
  );
  await stores.tasks.putNodeRuns(
    Array.from({ length: 200 }, (_, at) =>
      ["", ".x", ".y"].map((rest) => nodeRun(fanned, { path: `each[${at}]${rest}` })),
    ).flat(),
  );
  for (let moved = 1; moved > 0; ) moved = await indexTexts(mongo);
  await stores.payloads.put(["a", "b", "c"].map((key) => ({ key, json: "1" })));
  const deliveries = Array.from({ length: 1_000 }, (_, at) => {
    const one = delivery({ taskId: `t${at >> 1}`, id: `t${at >> 1}.${at}`, endpoint: `e${at % 10}`, nextAttemptTime: t0 + at });
    return at % 3 === 0 ? delivered(one) : one;
  });
  await stores.deliveries.insert(deliveries);
  for (let at = 0; at < 200; at++) {
    const over = { id: `j${at}`, taskId: `t${at % 10}`, function: `f${at % 4}`, partition: at % 8, deadline: t0 + at };
    await stores.jobs.insert(job({ ...over, project: at % 5 === 0 ? "other" : project }));
  }
  for (let at = 0; at < 50; at++) {
    await stores.catalog.insertHead(workflowHead({ name: `w${at}`, deleted: at % 5 === 0 }));
    await stores.catalog.insertRevision(workflowRevision({ revision: at }));
  }
});

afterAll(async () => {
  await mongo.db.dropDatabase();
  await mongo.close();
  await stores.close();
});

/** What the server says about every operation that `work` had it do. */
async function profiled(work: () => Promise<unknown>): Promise<Document[]> {
  await mongo.db.command({ profile: 0 });
  await mongo.db.collection("system.profile").drop();
  await mongo.db.command({ profile: 2 });
  await work();
  await mongo.db.command({ profile: 0 });
  const seen = await mongo.db.collection("system.profile").find().toArray();
  return seen.filter((one) => one["planSummary"] !== undefined && !`${one["ns"]}`.endsWith("system.profile"));
}

function stagesOf(stats: Document | undefined): string[] {
  if (stats === undefined) return [];
  const inner: Document[] = [stats["inputStage"], ...(stats["inputStages"] ?? []), stats["outerStage"], stats["innerStage"]];
  return [stats["stage"], ...inner.filter((one) => one !== undefined).flatMap(stagesOf)];
}

interface Expected {
  readonly name: string;
  readonly index: string;
  readonly run: () => Promise<unknown>;
  /** Documents and index entries that may be read in all. */
  readonly reads: number;
}

const list = (query: object) => () => stores.tasks.list({ project, limit: 20, ...query });
const after = { createTime: t0 + 1_000, id: "x" };

const hot: Expected[] = [
  { name: "get", index: "_id", run: () => stores.tasks.get(tasks.slice(0, 20).map(keyOf)), reads: 20 },
  {
    name: "replace",
    index: "_id",
    run: () => stores.tasks.replace(tasks.slice(100, 120).map((task) => ({ next: { ...task, version: 9 }, rev: 0 }))),
    reads: 20,
  },
  {
    name: "replace of one",
    index: "_id",
    run: () => stores.tasks.replace(tasks.slice(200, 201).map((task) => ({ next: { ...task, version: 9 }, rev: 0 }))),
    reads: 1,
  },
  {
    name: "a node run written over",
    index: "_id",
    run: () => stores.tasks.putNodeRuns(tasks.slice(0, 10).map((task) => nodeRun(task, { path: "a", attempt: 2 }))),
    reads: 10,
  },
  {
    name: "listDue of many partitions",
    index: "partition",
    run: () => stores.tasks.listDue([0, 1, 2, 3, 4, 5, 6], t0 + 9e7, 20),
    reads: 27,
  },
  {
    name: "a later page of listDue",
    index: "partition",
    run: () => stores.tasks.listDue([0, 1], t0 + 86_400_000, 20, { wakeAt: t0 + 30_000, id: tasks[1_500]?.id ?? "" }),
    // Behind a tie the index is read from the tie's beginning.
    reads: 400,
  },
  { name: "nextDue", index: "partition", run: () => stores.tasks.nextDue([0, 1, 2, 3, 4, 5, 6, 7]), reads: 8 },
  { name: "listBacklog", index: "partition", run: () => stores.tasks.listBacklog(0, 20), reads: 20 },
  { name: "listLimited", index: "project", run: () => stores.tasks.listLimited(project, "llm", 20), reads: 20 },
  { name: "countLimited", index: "project", run: () => stores.tasks.countLimited(project, "llm", 50), reads: 50 },
  { name: "list", index: "project", run: list({}), reads: 20 },
  { name: "a later page of list", index: "project", run: list({ after }), reads: 22 },
  { name: "list since", index: "project", run: list({ createdAfter: t0 + 1_900 }), reads: 20 },
  { name: "list by a state", index: "project", run: list({ states: ["failed"] }), reads: 20 },
  { name: "list by all states", index: "project", run: list({ states: taskStates }), reads: 27 },
  { name: "a later page of list by states", index: "project", run: list({ states: ["queued", "running"], after }), reads: 24 },
  { name: "list by workflow", index: "project", run: list({ workflow: "w1" }), reads: 20 },
  { name: "list by label", index: "project", run: list({ labels: { team: "t1" } }), reads: 20 },
  { name: "a later page of list by label", index: "project", run: list({ labels: { team: "t1" }, after }), reads: 22 },
  { name: "list by id", index: "_id", run: list({ q: tasks[0]?.id }), reads: 1 },
  {
    name: "listNodeRuns",
    index: "taskId",
    run: () => stores.tasks.listNodeRuns({ project, id: tasks[0]?.id ?? "" }, 20),
    reads: 2,
  },
  {
    name: "a later page of listNodeRuns",
    index: "taskId",
    run: () => stores.tasks.listNodeRuns({ project, id: tasks[4]?.id ?? "" }, 20, { attempt: 1, report: 1, path: "a" }),
    reads: 4,
  },
  {
    name: "listNodeRuns of items as such",
    index: "taskId",
    run: () => stores.tasks.listNodeRuns({ project, id: fanned.id }, 20, undefined, { prefix: "each[", top: true }),
    reads: 20,
  },
  {
    name: "listNodeRuns of one item",
    index: "taskId",
    run: () => stores.tasks.listNodeRuns({ project, id: fanned.id }, 20, undefined, { prefix: "each[7].", top: true }),
    reads: 2,
  },
  {
    name: "getNodeRuns",
    index: "_id",
    run: () => stores.tasks.getNodeRuns(tasks.slice(0, 20).map((task) => ({ ...keyOf(task), path: "b" }))),
    reads: 20,
  },
  { name: "listChildren", index: "project", run: () => stores.tasks.listChildren(project, "mother", 20), reads: 20 },
  {
    name: "a later page of listChildren",
    index: "project",
    run: () => stores.tasks.listChildren(project, "mother", 20, tasks[1_000]?.id),
    reads: 20,
  },
  { name: "listExpired", index: "head.endTime", run: () => stores.tasks.listExpired(t0 + 90_000, 20), reads: 20 },
  { name: "payloads", index: "_id", run: () => stores.payloads.get(["a", "b"]), reads: 2 },
  { name: "getHead", index: "_id", run: () => stores.catalog.getHead(project, "w1"), reads: 1 },
  { name: "getRevision", index: "_id", run: () => stores.catalog.getRevision(project, "echo", 7), reads: 1 },
  { name: "get of jobs", index: "_id", run: () => stores.jobs.get(["j1", "j2"].map((id) => ({ project, id }))), reads: 2 },
  { name: "listQueued of jobs", index: "project", run: () => stores.jobs.listQueued(project, "f1", 20), reads: 20 },
  { name: "listOfTask of jobs", index: "project", run: () => stores.jobs.listOfTask(project, "t1", 20), reads: 20 },
  { name: "a later page of listOfTask", index: "project", run: () => stores.jobs.listOfTask(project, "t1", 5, "j11"), reads: 5 },
  { name: "listDue of jobs", index: "wakeAt", run: () => stores.jobs.listDue([0, 1, 2, 3, 4, 5, 6, 7], t0 + 100, 20), reads: 20 },
  { name: "nextDue of jobs", index: "wakeAt", run: () => stores.jobs.nextDue([0, 1, 2, 3, 4, 5, 6, 7]), reads: 1 },
  { name: "listHeads", index: "project", run: () => stores.catalog.listHeads(project, 10, "w2"), reads: 10 },
  { name: "listRevisions", index: "project", run: () => stores.catalog.listRevisions(project, "echo", 10, 30), reads: 10 },
  { name: "get of a delivery", index: "_id", run: () => stores.deliveries.get(project, "t1.2"), reads: 1 },
  { name: "listByTask", index: "project", run: () => stores.deliveries.listByTask(project, "t7", 10), reads: 2 },
  { name: "listExhausted", index: "project", run: () => stores.deliveries.listExhausted(project, 10), reads: 0 },
  { name: "listDue of an endpoint", index: "lane", run: () => stores.deliveries.listDue("e1", t0 + 900, 20), reads: 20 },
  { name: "nextDue of all deliveries", index: "nextAttemptTime", run: () => stores.deliveries.nextDue(), reads: 1 },
  { name: "listExpired of deliveries", index: "settledAt", run: () => stores.deliveries.listExpired(t0 + 900, 20), reads: 20 },
  { name: "listUnreported", index: "unreported", run: () => stores.deliveries.listUnreported(20), reads: 20 },
  {
    name: "replace of deliveries",
    index: "_id",
    run: () => stores.deliveries.replace([{ next: delivery({ id: "t1.2", taskId: "t1" }), rev: 0 }]),
    reads: 1,
  },
];

test.each(hot)("$name goes by an index, in its order, and reads no more than it needs", async ({ index, run, reads }) => {
  const seen = await profiled(run);
  expect(seen.length).toBeGreaterThan(0);
  for (const one of seen) {
    const stages = stagesOf(one["execStats"]);
    expect(stages).not.toContain("COLLSCAN");
    expect(stages).not.toContain("SORT");
    expect(one["hasSortStage"]).not.toBe(true);
    expect(one["planSummary"]).toMatch(new RegExp(`^(IDHACK|(IXSCAN|DISTINCT_SCAN|COUNT_SCAN) \\{ ${index}: )`));
  }
  const docs = seen.reduce((sum, one) => sum + one["docsExamined"], 0);
  expect(docs).toBeLessThanOrEqual(reads);
});

test("endpoints with something due are found by one jump each, however many deliveries wait", async () => {
  const [seen] = await profiled(() => stores.deliveries.listDueEndpoints(t0 + 500, 5));
  expect(seen?.["planSummary"]).toMatch(/^DISTINCT_SCAN \{ lane: 1/);
  expect(seen?.["docsExamined"]).toBe(0);
  expect(seen?.["keysExamined"]).toBeLessThanOrEqual(11);
});

test("a search by words goes by the words' index and looks up only what has all of them", async () => {
  const seen = await profiled(list({ q: "common word7" }));
  for (const one of seen) expect(stagesOf(one["execStats"])).not.toContain("COLLSCAN");
  const onTasks = seen.filter((one) => `${one["ns"]}`.endsWith(".tasks"));
  expect(onTasks.reduce((sum, one) => sum + one["docsExamined"], 0)).toBeLessThanOrEqual(300);
  expect((await list({ q: "common word7" })()).length).toBe(20);
});
