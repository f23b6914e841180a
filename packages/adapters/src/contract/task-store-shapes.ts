import type { Arrival, Task, TaskStore } from "@longhaul/core";
import { expect, test } from "vitest";
import {
  failure,
  keyOf,
  nodeRun,
  queued,
  running,
  startOfTime,
  succeeded,
  unsuccessful,
  waiting,
  waitingFor,
  webhookDebt,
} from "./builders.ts";
import { hostileRecord, hostileStrings, type Open, withStore } from "./opened.ts";

/** Every optional field that all states share. */
const everything = {
  labels: { team: "blue", "a.b": "$c" },
  notBefore: startOfTime + 1,
  webhook: {
    url: "https://receiver.example/hook?a=1&b=%20",
    sealedSecrets: ["s1", "s2"],
    sealedHeaders: { authorization: "sealed" },
    events: ["task.succeeded", "task.failed"],
  },
  bodyHash: "sha256-abc",
  retryOf: "01930000-0000-7000-8000-ffffffffffff",
  text: "some words to find",
  priority: -100,
  revision: 12,
  startTime: startOfTime + 3,
  delivery: { state: "pending", sequence: 4 },
  owes: [
    webhookDebt("task.failed", startOfTime + 5, 2),
    { kind: "parent", key: "parent", dueAt: startOfTime + 6, failures: 1 },
    { kind: "children", key: "children", dueAt: startOfTime + 7, failures: 0 },
    { kind: "slots", key: "slots.4", hold: 4, dueAt: startOfTime + 8, failures: 0 },
  ],
  alone: true,
  tries: 3,
  report: 9,
  parent: { id: "01930000-0000-7000-8000-fffffffffffe", node: "each[3].call", awaited: true },
  depth: 2,
  limitKeys: ["llm", "workflow:echo"],
  hold: 4,
  children: true,
  inbox: [
    arrival({ seq: 4, payload: { kind: "inline", json: '{"a.b":"$c"}' } }),
    arrival({ seq: 5, payload: { kind: "stored", key: "acme/1/arrivals/5", bytes: 9_000 } }),
    arrival({ seq: 7, by: "", error: failure({ node: "x", details: { "$a.b": [1, { c: null }] } }) }),
  ],
  arrivals: 7,
  spent: { tokens: 12_345_678_901, calls: 3, nodeRuns: 4, runMs: 5 },
} as const;

function arrival(over: Partial<Arrival>): Arrival {
  return { seq: 1, node: "each[3].ask", at: startOfTime + 8, by: "ann@example.com", ...over };
}

/** One task of every form that the union allows, bare and with everything. */
function forms(): Task[] {
  return [
    queued(),
    queued({ queueing: { kind: "delayed", why: "start_time", until: startOfTime + 9 } }),
    queued({ ...everything, queueing: { kind: "delayed", why: "retry", until: startOfTime + 9, node: "each[3].fetch" } }),
    queued({ ...everything, queueing: { kind: "ticketed", until: startOfTime + 5_000, looks: 3 } }),
    queued({ input: { kind: "stored", key: "acme/1/input", bytes: 123_456 } }),
    queued({ ...everything, queueing: { kind: "limited", key: "llm", until: startOfTime + 5_000, looks: 3 } }),
    running(),
    running({ ...everything }),
    waiting(),
    waiting({
      ...everything,
      waits: [waitingFor({ kind: "timer", node: "pause", until: startOfTime + 60_000 }), waitingFor({ name: "go" })],
      waitCount: 2_000,
    }),
    waiting({ waits: [waitingFor({ kind: "approval", node: "ask" })] }),
    succeeded(),
    succeeded({ ...everything, output: { kind: "stored", key: "acme/1/output", bytes: 9_000 } }),
    unsuccessful({ state: "failed" }),
    unsuccessful({
      ...everything,
      state: "failed",
      error: failure({ node: "fetch", details: { status: 500, list: [1, null, { deep: true }] } }),
    }),
    unsuccessful({ state: "cancelled", error: failure({ code: "cancelled", retryable: false }) }),
    unsuccessful({ state: "timed_out", error: failure({ code: "deadline_exceeded" }) }),
  ];
}

/** Tasks come back as they went in: every form, every string, every size. */
export function testTaskShapes(open: Open<TaskStore>): void {
  test("a task of every form comes back from insert exactly as it was, absent fields absent", () =>
    withStore(open, async (store) => {
      const tasks = forms();
      expect(await store.insert(tasks)).toEqual(tasks.map(() => "inserted"));
      const found = await store.get(tasks.map(keyOf));
      expect(found.map((one) => one?.task)).toStrictEqual(tasks);
    }));

  test("a task can move from every form to every other, and nothing of the earlier one stays behind", () =>
    withStore(open, async (store) => {
      const all = forms();
      const moves = all.flatMap((from) => all.map((to) => ({ from: withOwnId(from), to })));
      await store.insert(moves.map((move) => move.from));
      // What is given at submit never changes: a store may keep it apart and write it once.
      const nexts = moves.map(({ from, to }): Task => ({ ...withoutFixed(to), ...fixedOf(from) }));
      expect(await store.replace(nexts.map((next) => ({ next, rev: 0 })))).toEqual(nexts.map(() => "replaced"));
      const found = await store.get(nexts.map(keyOf));
      expect(found.map((one) => one?.task)).toStrictEqual(nexts);
    }));

  test("every read gives the same whole task", () =>
    withStore(open, async (store) => {
      const backlog = queued({ ...everything });
      const stored = { task: backlog, rev: 0 };
      await store.insert([backlog]);
      expect(await store.get([keyOf(backlog)])).toStrictEqual([stored]);
      expect(await store.listDue([7], Number.MAX_SAFE_INTEGER, 10)).toStrictEqual([stored]);
      expect(await store.listBacklog(7, 10)).toStrictEqual([stored]);
      expect(await store.list({ project: "acme", limit: 10 })).toStrictEqual([stored]);
      const limited = queued({ ...everything, queueing: { kind: "limited", key: "llm", until: startOfTime, looks: 0 } });
      await store.insert([limited]);
      expect(await store.listLimited("acme", "llm", 10)).toStrictEqual([{ task: limited, rev: 0 }]);
    }));

  test("a payload of 8 KiB comes back byte for byte", () =>
    withStore(open, async (store) => {
      const json = JSON.stringify('ä🙂\\"\n'.repeat(600)).slice(0, 8_000);
      const task = succeeded({ input: { kind: "inline", json }, output: { kind: "inline", json } });
      await store.insert([task]);
      expect((await store.get([keyOf(task)]))[0]?.task).toStrictEqual(task);
    }));

  test("hostile strings come back as they were, and disturb no neighbour", () =>
    withStore(open, async (store) => {
      const tasks = hostileStrings.map((text) => {
        const json = JSON.stringify({ text });
        return unsuccessful({
          input: { kind: "inline", json },
          text,
          labels: { label: text },
          error: failure({ message: text, node: text, details: { text, deep: { list: [text] } } }),
        });
      });
      const labelled = queued({
        labels: hostileRecord(),
        webhook: { url: "https://r.example", sealedSecrets: [...hostileStrings], sealedHeaders: hostileRecord(), events: [] },
      });
      await store.insert([...tasks, labelled]);
      const found = await store.get([...tasks, labelled].map(keyOf));
      expect(found.map((one) => one?.task)).toStrictEqual([...tasks, labelled]);
      // Equality of objects looks past own keys named __proto__, so they are counted as well.
      const last = found.at(-1)?.task;
      expect(Object.entries(last?.labels ?? {}).sort()).toEqual(Object.entries(labelled.labels).sort());
      expect(Object.hasOwn(last?.labels ?? {}, "__proto__")).toBe(true);
      expect(Object.hasOwn(last?.webhook?.sealedHeaders ?? {}, "__proto__")).toBe(true);
    }));

  test("keys of JSON in an error survive whatever they are", () =>
    withStore(open, async (store) => {
      const details = hostileRecord();
      const task = queued();
      await store.insert([task]);
      const next = unsuccessful({ id: task.id, error: failure({ details }) });
      const run = nodeRun(task, { state: "failed", error: failure({ details }) });
      await store.replace([{ next, rev: 0, nodeRuns: [run] }]);
      const [found] = await store.get([keyOf(task)]);
      const kept = found?.task.state === "failed" ? found.task.error.details : undefined;
      expect(Object.entries(kept ?? {}).sort()).toEqual(Object.entries(details).sort());
      const [keptRun] = await store.listNodeRuns(keyOf(task), 10);
      expect(Object.entries(keptRun?.error?.details ?? {}).sort()).toEqual(Object.entries(details).sort());
    }));

  test("projects, ids and workflows with hostile names find themselves and nothing else", () =>
    withStore(open, async (store) => {
      const names = hostileStrings.filter((text) => !text.includes("\u0000") && text.length < 100);
      const tasks = names.map((name) => queued({ project: name, id: `${name}.id`, workflow: name }));
      expect(await store.insert(tasks)).toEqual(tasks.map(() => "inserted"));
      for (const task of tasks) {
        expect(await store.get([keyOf(task)])).toStrictEqual([{ task, rev: 0 }]);
        expect(await store.list({ project: task.project, workflow: task.workflow, limit: 10 })).toStrictEqual([{ task, rev: 0 }]);
      }
      expect(await store.get(tasks.map((task) => ({ project: `${task.project}x`, id: task.id })))).toEqual(
        tasks.map(() => undefined),
      );
    }));

  test("half a surrogate pair is kept or becomes U+FFFD, and harms nothing", () =>
    withStore(open, async (store) => {
      const broken = "a\ud800b\udc00";
      const task = queued({ text: broken, labels: { [broken]: broken } });
      const next = queued();
      expect(await store.insert([task, next])).toEqual(["inserted", "inserted"]);
      const found = await store.get([task, next].map(keyOf));
      expect(mended(found[0]?.task)).toEqual(mended(task));
      expect(found[1]?.task).toStrictEqual(next);
    }));
}

function withOwnId(task: Task): Task {
  return { ...task, id: queued().id };
}

type Fixed = Pick<
  Task,
  | "id"
  | "project"
  | "partition"
  | "workflow"
  | "revision"
  | "input"
  | "text"
  | "labels"
  | "priority"
  | "createTime"
  | "deadline"
  | "notBefore"
  | "webhook"
  | "bodyHash"
  | "retryOf"
  | "parent"
  | "depth"
  | "limitKeys"
>;

/** What is said at submit and never changes. */
function fixedOf(task: Task): Fixed {
  const { id, project, partition, workflow, revision, input, text, labels, priority, createTime, deadline } = task;
  return {
    ...{ id, project, partition, workflow, revision, input, text, labels, priority, createTime, deadline },
    ...(task.notBefore === undefined ? {} : { notBefore: task.notBefore }),
    ...(task.webhook === undefined ? {} : { webhook: task.webhook }),
    ...(task.bodyHash === undefined ? {} : { bodyHash: task.bodyHash }),
    ...(task.retryOf === undefined ? {} : { retryOf: task.retryOf }),
    ...(task.parent === undefined ? {} : { parent: task.parent }),
    ...(task.depth === undefined ? {} : { depth: task.depth }),
    ...(task.limitKeys === undefined ? {} : { limitKeys: task.limitKeys }),
  };
}

function withoutFixed(task: Task): Task {
  const { notBefore: _n, webhook: _w, bodyHash: _b, retryOf: _r, parent: _p, depth: _d, limitKeys: _l, ...rest } = task;
  return rest;
}

function mended(value: unknown): unknown {
  return JSON.parse(Buffer.from(JSON.stringify(value).replaceAll(/\\ud[89a-f][0-9a-f]{2}/gi, "\ufffd")).toString());
}
