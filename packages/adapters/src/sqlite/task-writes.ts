import type { Expired, InsertResult, ReplaceResult } from "@longhaul/core";
import { type Connection, numberAt, type SqlValue } from "./connection.ts";
import { type RemovalBounds, type RemovalStep, removalWrites } from "./remove-tasks.ts";
import { taskSql } from "./task-statements.ts";

/** A new task as rows; where the columns of `tasks` and `bodies` begin with `seq`, whoever writes puts it. */
export interface TaskRows {
  readonly task: readonly SqlValue[];
  readonly body: readonly SqlValue[];
  /** Project, name, value and create time of each label, as the index has them. */
  readonly labels: readonly (readonly SqlValue[])[];
  /** Project, id of the parent and own id of a task that another one started. */
  readonly child: readonly SqlValue[] | undefined;
}

/** A compare-and-set as values of `taskSql.replaceTask`, and the node runs that go with it. */
export interface ChangeRows {
  readonly task: readonly SqlValue[];
  readonly nodeRuns: readonly (readonly SqlValue[])[] | undefined;
}

export interface TaskWrites {
  insertTasks(tasks: readonly TaskRows[]): InsertResult[];
  replaceTasks(changes: readonly ChangeRows[]): ReplaceResult[];
  putNodeRuns(runs: readonly (readonly SqlValue[])[]): void;
  removeTasks(some: { readonly expired: readonly Expired[]; readonly bounds: RemovalBounds }): RemovalStep[];
}

/** What is written of tasks, inside a transaction that others share. */
export function taskWrites(db: Connection): TaskWrites {
  const insertTask = db.prepare(taskSql.insertTask);
  const insertBody = db.prepare(taskSql.insertBody);
  const insertLabel = db.prepare(taskSql.insertLabel);
  const insertChild = db.prepare(taskSql.insertChild);
  const replaceTask = db.prepare(taskSql.replaceTask);
  const putNodeRun = db.prepare(taskSql.putNodeRun);
  const known = [taskSql.lastSeq, taskSql.lastRemoved].map((sql) => numberAt(db.prepare(sql).get([]) ?? [0], 0));
  let seq = Math.max(...known);
  const removeTasks = removalWrites(db, () => seq);

  function insertOne({ task, body, labels, child }: TaskRows): InsertResult {
    const next = seq + 1;
    if (insertTask.run([next, ...task]) === 0) return "exists";
    seq = next;
    insertBody.run([next, ...body]);
    for (const label of labels) insertLabel.run([...label, next]);
    if (child) insertChild.run([...child, next]);
    return "inserted";
  }

  function replaceOne({ task, nodeRuns }: ChangeRows): ReplaceResult {
    if (replaceTask.run(task) === 0) return "stale";
    if (nodeRuns) for (const run of nodeRuns) putNodeRun.run(run);
    return "replaced";
  }

  return {
    insertTasks: (tasks) => tasks.map(insertOne),
    replaceTasks: (changes) => changes.map(replaceOne),
    putNodeRuns: (runs) => {
      for (const run of runs) putNodeRun.run(run);
    },
    removeTasks: ({ expired, bounds }) => removeTasks(expired, bounds),
  };
}
