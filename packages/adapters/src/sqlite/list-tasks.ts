import type { TaskQuery, TaskStateName } from "@longhaul/core";
import { numberAt, type Row, type SqlValue, textAt } from "./connection.ts";
import type { Reader } from "./reader.ts";
import { searchable, stateNumber, taskColumns } from "./task-rows.ts";

interface Select {
  readonly sql: string;
  readonly values: readonly SqlValue[];
  /** True when it looks into the search index. */
  readonly search: boolean;
}

/** States that few tasks are in; they have an index of their own (`tasks_rare`). */
const rare: readonly TaskStateName[] = ["waiting", "failed", "cancelled", "timed_out"];
/** States that wake up by themselves; `tasks_wake` holds only tasks that do. */
const lively: readonly TaskStateName[] = ["queued", "running"];

/** The rows of `taskColumns` that a query asks for, in its order. */
export async function listRows(reader: Reader, query: TaskQuery): Promise<readonly Row[]> {
  if (query.limit <= 0) return [];
  const selects = selectsOf(query);
  const pages = await Promise.all(selects.map(({ sql, values, search }) => reader.rows(sql, values, search)));
  if (pages.length === 1) return pages[0] ?? [];
  // Each part is in order and no task is in two of them, save that an id may be a word as well.
  const seen = new Set<string>();
  const all = pages.flat().filter((row) => !seen.has(textAt(row, 0)) && seen.add(textAt(row, 0)));
  return all.sort(newestFirst).slice(0, query.limit);
}

function newestFirst(a: Row, b: Row): number {
  return numberAt(b, 5) - numberAt(a, 5) || Buffer.compare(Buffer.from(textAt(b, 0)), Buffer.from(textAt(a, 0)));
}

/** One select per way to the rows, each by the index that serves it best. */
export function selectsOf(query: TaskQuery): Select[] {
  const states = query.states && [...new Set(query.states)];
  if (states?.length === 0) return [];
  if (query.q !== undefined) {
    const byId = select(query, "tasks t", [["t.id = ?", query.q]], states);
    const words = wordsOf(query.q);
    if (words.length === 0) return [byId];
    const match = words.map((word) => `"${word}"`).join(" AND ");
    const from = "search.words w CROSS JOIN tasks t ON t.seq = w.rowid";
    return [byId, { ...select(query, from, [["w.words MATCH ?", match]], states), search: true }];
  }
  const [label] = Object.entries(query.labels ?? {});
  if (label) {
    const from = "task_labels l CROSS JOIN tasks t ON t.seq = l.seq";
    const [name, value] = label;
    const where: Condition[] = [
      ["l.project = ?", query.project],
      ["l.name = ?", searchable(name)],
      ["l.value = ?", searchable(value)],
    ];
    return [select(query, from, where, states, "l.create_time")];
  }
  if (!states) return [select(query, "tasks t INDEXED BY tasks_list", [], states)];
  const selects: Select[] = [];
  for (const state of states.filter((one) => rare.includes(one))) {
    selects.push(select(query, "tasks t INDEXED BY tasks_rare", [["t.state IN (2, 4, 5, 6)"]], [state]));
  }
  const live = states.filter((one) => lively.includes(one));
  if (live.length > 0) selects.push(select(query, "tasks t INDEXED BY tasks_wake", [["t.wake_at > -9007199254740991"]], live));
  if (states.includes("succeeded")) selects.push(select(query, "tasks t INDEXED BY tasks_list", [], ["succeeded"]));
  return selects;
}

type Condition = readonly [sql: string, ...values: SqlValue[]];

function select(
  query: TaskQuery,
  from: string,
  where: readonly Condition[],
  states: readonly TaskStateName[] | undefined,
  time = "t.create_time",
): Select {
  const conditions: Condition[] = [...where, ["t.project = ?", query.project]];
  if (states) {
    const numbers = states.map(stateNumber);
    conditions.push(
      numbers.length === 1 ? ["t.state = ?", ...numbers] : [`t.state IN (${numbers.map(() => "?").join(", ")})`, ...numbers],
    );
  }
  if (query.workflow !== undefined) conditions.push(["t.workflow = ?", query.workflow]);
  for (const [name, value] of Object.entries(query.labels ?? {})) {
    conditions.push([
      "EXISTS (SELECT 1 FROM task_labels x WHERE x.project = t.project AND x.name = ? AND x.value = ? AND x.create_time = t.create_time AND x.seq = t.seq)",
      searchable(name),
      searchable(value),
    ]);
  }
  if (query.createdAfter !== undefined) conditions.push([`${time} > ?`, query.createdAfter]);
  if (query.after) {
    const { createTime, id } = query.after;
    conditions.push([`${time} <= ?`, createTime], [`(${time} < ? OR t.id < ?)`, createTime, id]);
  }
  const sql =
    `SELECT ${taskColumns} FROM ${from} CROSS JOIN bodies b ON b.seq = t.seq ` +
    `WHERE ${conditions.map(([text]) => text).join(" AND ")} ORDER BY ${time} DESC, t.id DESC LIMIT ?`;
  return { sql, values: [...conditions.flatMap(([, ...values]) => values), query.limit], search: false };
}

/** The words of a search; whatever is neither letter, mark nor digit only parts them. */
export function wordsOf(q: string): string[] {
  return (q.match(/[\p{L}\p{M}\p{N}\p{Co}]+/gu) ?? []).slice(0, 16);
}
