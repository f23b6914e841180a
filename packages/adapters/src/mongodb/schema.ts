import type { IndexDescription } from "mongodb";

/** Names of the collections. */
export const collections = {
  tasks: "tasks",
  nodeRuns: "node_runs",
  search: "search",
  payloads: "payloads",
  uploads: "payload_uploads",
  /** GridFS adds `.files` and `.chunks`. */
  blobs: "payload_blobs",
  workflows: "workflows",
  revisions: "workflow_revisions",
  partitions: "partitions",
  schedulers: "schedulers",
  deliveries: "deliveries",
  endpoints: "endpoints",
  resources: "resources",
  jobs: "jobs",
  locks: "locks",
  meta: "meta",
} as const;

/** Names of the indexes that queries ask for by name. */
export const indexes = {
  due: "due",
  backlog: "backlog",
  limited: "limited",
  byTime: "by_time",
  byState: "by_state",
  byWorkflow: "by_workflow",
  byLabel: "by_label",
  unindexed: "unindexed",
  byWord: "by_word",
  byTask: "by_task",
  byName: "by_name",
  byRevision: "by_revision",
  byStart: "by_start",
  nextDue: "next_due",
  unreported: "unreported",
  settled: "settled",
  byParent: "by_parent",
  exhausted: "exhausted",
} as const;

/** Every index besides those on `_id`. A query of the hot path that would need another one fails its test. */
export const indexesOf: Readonly<Record<string, readonly IndexDescription[]>> = {
  [collections.tasks]: [
    // A record that is due never has a time before 1970, and null, for "never", is not a number.
    { name: indexes.due, key: { partition: 1, wakeAt: 1, _id: 1 }, partialFilterExpression: { wakeAt: { $gte: 0 } } },
    {
      name: indexes.backlog,
      key: { partition: 1, priority: -1, createTime: 1, _id: 1 },
      partialFilterExpression: { backlog: true },
    },
    {
      name: indexes.limited,
      key: { project: 1, "head.queueing.key": 1, priority: -1, createTime: 1, _id: 1 },
      partialFilterExpression: { "head.queueing.kind": "limited" },
    },
    { name: indexes.byTime, key: { project: 1, createTime: -1, _id: -1 } },
    { name: indexes.byState, key: { project: 1, state: 1, createTime: -1, _id: -1 } },
    { name: indexes.byWorkflow, key: { project: 1, workflow: 1, createTime: -1, _id: -1 } },
    {
      name: indexes.byLabel,
      key: { project: 1, labels: 1, createTime: -1, _id: -1 },
      partialFilterExpression: { labels: { $exists: true } },
    },
    {
      name: indexes.unindexed,
      key: { project: 1, createTime: -1, _id: -1 },
      partialFilterExpression: { unindexed: true },
    },
    {
      name: indexes.byParent,
      key: { project: 1, "parent.id": 1, _id: 1 },
      partialFilterExpression: { "parent.id": { $exists: true } },
    },
    // Nothing is owed exactly when there is nothing to wake up for: an ended task comes in with its last debt paid.
    { name: indexes.settled, key: { "head.endTime": 1, _id: 1 }, partialFilterExpression: { wakeAt: null } },
  ],
  [collections.nodeRuns]: [{ name: indexes.byTask, key: { taskId: 1, attempt: 1, report: 1, path: 1 } }],
  [collections.search]: [{ name: indexes.byWord, key: { project: 1, words: 1, newest: -1 } }],
  [collections.uploads]: [{ name: indexes.byStart, key: { startTime: 1 } }],
  [collections.workflows]: [{ name: indexes.byName, key: { project: 1, deleted: 1, name: 1 } }],
  [collections.resources]: [
    { name: indexes.byName, key: { project: 1, kind: 1, name: 1 } },
    { name: indexes.due, key: { kind: 1, wakeAt: 1, partition: 1 }, partialFilterExpression: { wakeAt: { $gte: 0 } } },
  ],
  [collections.jobs]: [
    {
      name: indexes.backlog,
      key: { project: 1, function: 1, priority: -1, createTime: 1, _id: 1 },
      partialFilterExpression: { queued: true },
    },
    { name: indexes.byTask, key: { project: 1, taskId: 1, jobId: 1 } },
    { name: indexes.due, key: { wakeAt: 1, partition: 1 } },
  ],
  [collections.revisions]: [{ name: indexes.byRevision, key: { project: 1, name: 1, revision: -1 } }],
  [collections.deliveries]: [
    {
      name: indexes.due,
      key: { lane: 1, nextAttemptTime: 1, _id: 1 },
      // A filter on the first field only: with one on the second the server reads every entry instead of jumping.
      partialFilterExpression: { lane: { $gt: "" } },
    },
    { name: indexes.nextDue, key: { nextAttemptTime: 1 }, partialFilterExpression: { nextAttemptTime: { $gte: 0 } } },
    { name: indexes.byTask, key: { project: 1, taskId: 1, _id: 1 } },
    { name: indexes.exhausted, key: { project: 1, _id: 1 }, partialFilterExpression: { "head.state": "exhausted" } },
    { name: indexes.unreported, key: { unreported: 1, _id: 1 }, partialFilterExpression: { unreported: true } },
    { name: indexes.settled, key: { settledAt: 1, _id: 1 }, partialFilterExpression: { settledAt: { $gte: 0 } } },
  ],
};
