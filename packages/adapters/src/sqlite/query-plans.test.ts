import { taskStates } from "@longhaul/core";
import { expect, test } from "vitest";
import { catalogSql } from "./catalog-store.ts";
import { openConnection } from "./connection.ts";
import { deliverySql } from "./delivery-store.ts";
import { jobSql } from "./job-store.ts";
import { leaseSql } from "./lease-store.ts";
import { selectsOf } from "./list-tasks.ts";
import { migrate } from "./migrations.ts";
import { payloadSql } from "./payload-store.ts";
import { removalSql } from "./remove-tasks.ts";
import { resourceSql } from "./resource-store.ts";
import { attachSearchIndex, searchSql } from "./search-index.ts";
import { taskSql } from "./task-statements.ts";

const db = openConnection(":memory:", 0, 1_024);
migrate(db, ":memory:");
attachSearchIndex(db, ":memory:");

/** The lines of the plan, without what reads a parameter (json_each) instead of a table. */
function planOf(sql: string): string[] {
  const parameters = Array.from({ length: (sql.match(/\?(?!\d)/g) ?? []).length || 6 }, () => null);
  const rows = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(parameters);
  return rows.map((row) => String(row[3])).filter((line) => !line.includes("json_each"));
}

const statements: readonly (readonly [string, string])[] = [
  ["task", taskSql],
  ["removal", removalSql],
  ["payload", payloadSql],
  ["catalog", catalogSql],
  ["lease", leaseSql],
  ["delivery", deliverySql],
  ["search", searchSql],
  ["resource", resourceSql],
  ["job", jobSql],
].flatMap(([store, all]) => Object.entries(all ?? {}).map(([name, sql]) => [`${String(store)}.${name}`, sql] as const));

/** Tables with at most 64 rows, or as many as there are processes; both are read as a whole on purpose. */
const small = ["lease.leases", "lease.owners"];

test.each(statements.filter(([name]) => !small.includes(name)))("%s goes by an index", (_name, sql) => {
  // A bounded count reads its own rows once more.
  for (const line of planOf(sql)) expect(line).not.toMatch(/^SCAN (?!\(subquery)/);
});

test("what is due, what comes next and the backlog are read in the order of their index", () => {
  expect(planOf(taskSql.listDue).join("\n")).toMatch(/SEARCH t USING INDEX tasks_wake \(wake_at>\? AND wake_at<\?\)/);
  expect(planOf(taskSql.nextDue).join("\n")).toMatch(/USING COVERING INDEX tasks_wake/);
  expect(planOf(taskSql.nextDue).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(taskSql.listBacklog).join("\n")).toMatch(/SEARCH t USING INDEX tasks_backlog \(part=\?\)/);
  expect(planOf(taskSql.listBacklog).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(taskSql.listLimited).join("\n")).toMatch(/SEARCH t USING INDEX tasks_limited \(project=\? AND limit_key=\?\)/);
  expect(planOf(taskSql.listLimited).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(taskSql.countLimited).join("\n")).toMatch(/USING COVERING INDEX tasks_limited/);
  expect(planOf(taskSql.listChildren).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(deliverySql.nextEndpoint).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(deliverySql.nextDue).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(deliverySql.listExhausted).join("\n")).toMatch(/USING INDEX deliveries_exhausted \(project=\? AND id>\?\)$/);
});

const project = "acme";
const lists = [
  { project, limit: 9 },
  { project, limit: 9, after: { createTime: 1, id: "a" }, createdAfter: 0 },
  ...taskStates.map((state) => ({ project, limit: 9, states: [state], workflow: "w" })),
  { project, limit: 9, states: ["queued", "failed", "succeeded"] as const },
  { project, limit: 9, labels: { a: "b", c: "d" } },
  { project, limit: 9, q: "some words", states: ["failed"] as const },
];

test.each(lists)("the list $0 goes by indexes alone", (query) => {
  const selects = selectsOf(query);
  expect(selects.length).toBeGreaterThan(0);
  for (const { sql } of selects) {
    // The word index is a virtual table: SQLite calls every use of it a scan, and INDEX 0:M… is a MATCH.
    const lines = planOf(sql).filter((line) => !/^SCAN w VIRTUAL TABLE INDEX 0:M/.test(line));
    for (const line of lines) expect(line).not.toMatch(/^SCAN /);
  }
});

test("what was kept long enough is found in the order of its index, whatever its project", () => {
  for (const [sql, index] of [
    [removalSql.listExpired, "tasks_settled"],
    [deliverySql.listExpired, "deliveries_settled"],
  ] as const) {
    expect(planOf(sql).join("\n")).toMatch(new RegExp(`USING INDEX ${index} \\(settled_at<\\?\\)`));
    expect(planOf(sql).join("\n")).not.toMatch(/TEMP B-TREE/);
  }
});

test("node runs behind a prefix are found by their paths, and single ones by the whole key", () => {
  expect(planOf(taskSql.listNodeRunsBehind).join("\n")).toMatch(
    /SEARCH node_runs USING INDEX node_runs_key \(task_id=\? AND path>\? AND path<\?\)/,
  );
  expect(planOf(taskSql.getNodeRun).join("\n")).toMatch(/USING INDEX node_runs_key \(task_id=\? AND path=\?\)/);
});

test("the states that few tasks are in have an index of their own", () => {
  const plan = selectsOf({ project, limit: 9, states: ["failed"] }).flatMap(({ sql }) => planOf(sql));
  expect(plan.join("\n")).toMatch(/USING INDEX tasks_rare \(project=\? AND state=\?\)/);
});

test("a function's queue and what is due of all jobs are read in the order of their index", () => {
  for (const sql of [jobSql.listQueuedJobs, jobSql.listJobsOfTask, jobSql.listDueJobs])
    expect(planOf(sql).join("\n")).not.toMatch(/TEMP B-TREE/);
  expect(planOf(jobSql.listQueuedJobs).join("\n")).toMatch(/USING INDEX jobs_queued \(project=\? AND function=\?\)/);
  expect(planOf(jobSql.nextDueJob).join("\n")).toMatch(/USING COVERING INDEX jobs_wake/);
});
