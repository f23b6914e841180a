import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { queued, running, startOfTime as t0 } from "../contract/index.ts";
import { type Connection, openRaw } from "./connection.ts";
import { migrate, migrations } from "./migrations.ts";
import { openSqlite } from "./open-sqlite.ts";

let folder = "";
let file = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-sqlite-"));
  file = join(folder, "data.db");
});
afterEach(() => rm(folder, { recursive: true }));

/** A row of a task and its body, as the version before wrote them. */
function insert(db: Connection, seq: number, state: number, wakeAt: number | null, head: object): void {
  const common = { version: 3, attempt: 1, report: 1, tries: 0, alone: false, owes: [], startTime: t0 + 5 };
  const settledAt = wakeAt === null ? t0 + 100 : null;
  const row = [
    seq,
    `t${seq}`,
    "acme",
    7,
    "echo",
    0,
    t0,
    2,
    state,
    wakeAt,
    null,
    JSON.stringify({ ...common, ...head }),
    "1",
    settledAt,
  ];
  db.prepare("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)").run(row);
  const fixed = JSON.stringify({ revision: 1, labels: {}, deadline: t0 + 86_400_000, retryOf: "t0" });
  db.prepare("INSERT INTO bodies VALUES (?, ?, ?, ?)").run([seq, fixed, '{"n":1}', ""]);
}

test("data of the version before is read whole: debts have keys, waits are lists, and everything can go on", async () => {
  const old = openRaw(file, 0);
  migrate(old, file, migrations.slice(0, 2));
  const debts = ["task.failed", "task.succeeded"].map((event, at) => ({ kind: "webhook", event, dueAt: t0 + at, failures: at }));
  insert(old, 1, 3, t0, { state: "succeeded", endTime: t0 + 100, delivery: { state: "pending", sequence: 0 }, owes: debts });
  insert(old, 2, 3, null, { state: "succeeded", endTime: t0 + 100 });
  const waitingFor = { kind: "timer", node: "pause", since: t0 + 1, until: t0 + 60_000 };
  insert(old, 3, 2, t0 + 60_000, { state: "waiting", waitingFor });
  insert(old, 4, 1, t0 + 30_000, { state: "running", executor: "A", leaseUntil: t0 + 30_000 });
  const rest = JSON.stringify({ kind: "http", state: "succeeded", startTime: t0, endTime: t0 + 1, tries: 2 });
  old
    .prepare("INSERT INTO node_runs (task_id, path, project, attempt, report, rest, output) VALUES (?, ?, ?, ?, ?, ?, ?)")
    .run(["t4", "each[0].a", "acme", 1, 1, rest, "[1]"]);
  old.close();

  const stores = openSqlite({ file });
  const keys = [1, 2, 3, 4].map((seq) => ({ project: "acme", id: `t${seq}` }));
  const found = await stores.tasks.get(keys);
  expect(found.map((one) => [one?.rev, one?.task.state])).toEqual([
    [2, "succeeded"],
    [2, "succeeded"],
    [2, "waiting"],
    [2, "running"],
  ]);
  const [owing, settled, waiting, held] = found.map((one) => one?.task);
  expect(owing?.owes).toStrictEqual(debts.map((debt) => ({ ...debt, key: debt.event })));
  expect(owing).toMatchObject({ output: { kind: "inline", json: "1" }, retryOf: "t0" });
  expect(settled?.owes).toStrictEqual([]);
  expect(waiting).toMatchObject({ waits: [{ ...waitingFor, reason: "The node waits." }], waitCount: 1 });
  expect(waiting).not.toHaveProperty("waitingFor");
  expect(held).toMatchObject({ executor: "A", leaseUntil: t0 + 30_000 });

  const [first] = keys;
  const expired = await stores.tasks.listExpired(Number.MAX_SAFE_INTEGER, 9);
  expect(expired.map(({ id }) => id)).toEqual(["t2"]);
  expect(await stores.tasks.listNodeRuns({ project: "acme", id: "t4" }, 9, undefined, { prefix: "each[0].", top: true })).toEqual(
    [expect.objectContaining({ path: "each[0].a", tries: 2, output: { kind: "inline", json: "[1]" } })],
  );
  const child = queued({ parent: { id: first?.id ?? "", node: "call", awaited: true }, depth: 1 });
  expect(await stores.tasks.insert([child])).toEqual(["inserted"]);
  expect(await stores.tasks.listChildren("acme", "t1", 9)).toStrictEqual([{ task: child, rev: 0 }]);
  expect(await stores.tasks.replace([{ next: running({ id: "t3", inbox: [], arrivals: 1 }), rev: 2 }])).toEqual(["replaced"]);
  await stores.close();
});

test("a removal that the version before had begun is taken up again", async () => {
  const old = openRaw(file, 0);
  migrate(old, file, migrations.slice(0, 2));
  insert(old, 1, 3, null, { state: "succeeded", endTime: t0 + 100 });
  // Hidden by a removal that was cut off.
  old.exec("UPDATE tasks SET project = char(1) || project, settled_at = -settled_at - 1");
  old.close();
  const stores = openSqlite({ file });
  const expired = await stores.tasks.listExpired(Number.MAX_SAFE_INTEGER, 9);
  expect(expired).toStrictEqual([{ project: "acme", id: "t1", rev: 2, settledAt: t0 + 100 }]);
  expect(await stores.tasks.remove(expired)).toBe(1);
  expect(await stores.tasks.listExpired(Number.MAX_SAFE_INTEGER, 9)).toEqual([]);
  await stores.close();
});
