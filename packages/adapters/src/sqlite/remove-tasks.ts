import type { Expired, Task } from "@longhaul/core";
import { type Connection, numberAt, type Query, textAt } from "./connection.ts";
import { searchable } from "./task-rows.ts";
import type { Writer } from "./writer.ts";

/**
 * Project names never begin with it. It stands before the project of a task whose removal takes more than one transaction: no statement
 * finds the task under its project any more, while its id stays taken.
 */
const hidden = "\u0001";

export const removalSql = {
  // A task that is half removed has the time negated, so it comes first.
  listExpired:
    "SELECT id, project, rev, settled_at FROM tasks INDEXED BY tasks_settled WHERE settled_at <= ? ORDER BY settled_at LIMIT ?",
  find: "SELECT seq, create_time, settled_at FROM tasks WHERE id = ? AND project IN (?, ?) AND rev = ?",
  removeNodeRuns: "DELETE FROM node_runs WHERE seq IN (SELECT seq FROM node_runs WHERE task_id = ? LIMIT ?)",
  findPayloads: "SELECT seq, octet_length(json) FROM payloads WHERE key >= ? AND key < ? LIMIT ?",
  removePayload: "DELETE FROM payloads WHERE seq = ?",
  hide: "UPDATE tasks SET rev = rev + 1, project = ?, settled_at = ? WHERE seq = ?",
  fixed: "SELECT fixed FROM bodies WHERE seq = ?",
  removeLabel: "DELETE FROM task_labels WHERE project = ? AND name = ? AND value = ? AND create_time = ? AND seq = ?",
  removeChild: "DELETE FROM task_children WHERE project = ? AND parent = ? AND id = ?",
  removeBody: "DELETE FROM bodies WHERE seq = ?",
  removeTask: "DELETE FROM tasks WHERE seq = ?",
} as const;

/** Bounds of one transaction, so that it holds up other writes and the log for a moment only. */
export interface RemovalBounds {
  readonly tasks: number;
  readonly rows: number;
  readonly bytes: number;
}

const defaultBounds: RemovalBounds = { tasks: 8, rows: 128, bytes: 1_048_576 };

/** What one transaction did with each task, in their order; those behind the last were not looked at. */
export type RemovalStep =
  | { readonly kind: "removed"; readonly id: string; readonly seq: number }
  | { readonly kind: "stale" }
  | { readonly kind: "hidden"; readonly id: string; readonly rest: Expired };

interface Budget {
  rows: number;
  bytes: number;
}

/** Finds and removes tasks with all that belongs to them. */
export interface TaskRemoval {
  listExpired(settledBy: number, limit: number): readonly Expired[];
  /** `gone` hears of each task as soon as nobody can see it any more, with its `seq` once nothing of it is left. */
  remove(expired: readonly Expired[], gone: (id: string, seq: number | undefined) => void): Promise<number>;
}

/** Removes the first of the tasks, as many as the bounds allow, inside a transaction; `lastSeq` is the highest `seq` a task ever had. */
export function removalWrites(
  db: Connection,
  lastSeq: () => number,
): (tasks: readonly Expired[], bounds: RemovalBounds) => RemovalStep[] {
  const sql = prepareAll(db);
  const noteSeq = db.prepare("UPDATE removed SET last_seq = max(last_seq, ?)");

  /** Children first; a task that has more of them than the budget allows is hidden and goes on with the next transaction. */
  function removeOne(one: Expired, budget: Budget): RemovalStep {
    const { id, project, rev, settledAt } = one;
    const row = sql.find.get([id, project, hidden + project, rev]);
    if (!row) return { kind: "stale" };
    const seq = numberAt(row, 0);
    if (!removeNodeRuns(id, budget) || !removePayloads(id, budget)) {
      sql.hide.run([hidden + project, -settledAt - 1, seq]);
      return { kind: "hidden", id, rest: { ...one, rev: rev + 1 } };
    }
    const fixed = sql.fixed.get([seq]);
    const { labels, parent }: Pick<Task, "labels" | "parent"> = fixed ? JSON.parse(textAt(fixed, 0)) : { labels: {} };
    for (const [name, value] of Object.entries(labels)) {
      sql.removeLabel.run([project, searchable(name), searchable(value), numberAt(row, 1), seq]);
    }
    if (parent !== undefined) sql.removeChild.run([project, parent.id, id]);
    sql.removeBody.run([seq]);
    sql.removeTask.run([seq]);
    return { kind: "removed", id, seq };
  }

  /** Whether none is left. */
  function removeNodeRuns(id: string, budget: Budget): boolean {
    const limit = Math.max(0, budget.rows);
    const removed = sql.removeNodeRuns.run([id, limit]);
    budget.rows -= removed;
    return removed < limit;
  }

  /** Whether none is left. */
  function removePayloads(id: string, budget: Budget): boolean {
    const limit = Math.max(0, budget.rows);
    const rows = sql.findPayloads.all([`${id}/`, `${id}0`, limit]);
    for (const row of rows) {
      if (budget.bytes <= 0) return false;
      sql.removePayload.run([numberAt(row, 0)]);
      budget.rows--;
      budget.bytes -= numberAt(row, 1);
    }
    return rows.length < limit;
  }

  return (tasks, bounds) => {
    const budget: Budget = { rows: bounds.rows, bytes: bounds.bytes };
    const steps: RemovalStep[] = [];
    for (const one of tasks) {
      if (budget.rows <= 0 || budget.bytes <= 0) break;
      steps.push(removeOne(one, budget));
    }
    // Words are found by `seq`: it must never come again, not even after the highest was removed and the file opened anew.
    noteSeq.run([lastSeq()]);
    return steps;
  };
}

export function taskRemoval(db: Connection, writer: Writer, bounds: RemovalBounds = defaultBounds): TaskRemoval {
  const expired = db.prepare(removalSql.listExpired);

  return {
    listExpired: (settledBy, limit) =>
      expired.all([settledBy, limit]).map((row) => {
        const time = numberAt(row, 3);
        const isHidden = time < 0;
        const project = textAt(row, 1).slice(isHidden ? hidden.length : 0);
        return { id: textAt(row, 0), project, rev: numberAt(row, 2), settledAt: isHidden ? -time - 1 : time };
      }),
    remove: async (tasks, gone) => {
      let queue = [...tasks];
      let removed = 0;
      while (queue.length > 0) {
        const some = queue.slice(0, bounds.tasks);
        const steps = await writer.write(some.length * 2_000, "removeTasks", { expired: some, bounds }, (done) => {
          for (const step of done) if (step.kind !== "stale") gone(step.id, step.kind === "removed" ? step.seq : undefined);
        });
        removed += steps.filter((step) => step.kind === "removed").length;
        queue = [...steps.flatMap((step) => (step.kind === "hidden" ? [step.rest] : [])), ...queue.slice(steps.length)];
      }
      return removed;
    },
  };
}

function prepareAll(db: Connection): { readonly [K in Exclude<keyof typeof removalSql, "listExpired">]: Query } {
  return {
    find: db.prepare(removalSql.find),
    removeNodeRuns: db.prepare(removalSql.removeNodeRuns),
    findPayloads: db.prepare(removalSql.findPayloads),
    removePayload: db.prepare(removalSql.removePayload),
    hide: db.prepare(removalSql.hide),
    fixed: db.prepare(removalSql.fixed),
    removeLabel: db.prepare(removalSql.removeLabel),
    removeChild: db.prepare(removalSql.removeChild),
    removeBody: db.prepare(removalSql.removeBody),
    removeTask: db.prepare(removalSql.removeTask),
  };
}
