import type { NodeRun, Stored, Task, TaskStore } from "@longhaul/core";
import { wakeAt } from "@longhaul/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  nodeRun,
  queued,
  running,
  succeeded,
  startOfTime as t0,
  unsuccessful,
  waiting,
  waitingFor,
  webhookDebt,
} from "./builders.ts";
import { type Open, withStore } from "./opened.ts";

/** What a TaskStore is, in a few Maps. */
interface Model {
  readonly project: string;
  readonly partition: number;
  readonly tasks: Map<string, Stored>;
  readonly runs: Map<string, NodeRun>;
}

type Command = fc.AsyncCommand<Model, TaskStore>;
type Form = { readonly state: number; readonly wake: number; readonly attempt: number };

const names = fc.constantFrom("a", "b", "c", "d", "e");
const forms = fc.record({ state: fc.nat(7), wake: fc.nat(5), attempt: fc.nat(3) });
const runForms = fc.record({ path: fc.constantFrom("x", "y"), attempt: fc.nat(3), report: fc.nat(2) });

/** Any sequence of calls answers as a model of Maps does. */
export function testTaskModel(open: Open<TaskStore>): void {
  test("any sequence of calls answers as a Map would", () =>
    withStore(open, async (store) => {
      let runs = 0;
      const commands = fc.commands(
        [fc.array(fc.tuple(names, forms), { maxLength: 6 }).map(insert), changes().map(replace), look()],
        {
          maxCommands: 25,
        },
      );
      await fc.assert(
        fc.asyncProperty(commands, async (sequence) => {
          // Every run has a project and a partition of its own, so that one store serves them all.
          runs++;
          const model: Model = { project: `model-${runs}`, partition: 1_000 + runs, tasks: new Map(), runs: new Map() };
          await fc.asyncModelRun(() => ({ model, real: store }), sequence);
        }),
        { numRuns: 40 },
      );
    }));
}

/** A task in one of seven states; wakes collide often, so that ties are met. */
function taskOf(model: Model, name: string, { state, wake, attempt }: Form): Task {
  const over = {
    id: `${model.project}.${name}`,
    project: model.project,
    partition: model.partition,
    attempt,
    deadline: t0 + 100,
  };
  const time = t0 + wake;
  switch (state) {
    case 0:
      return queued(over);
    case 1:
      return queued({ ...over, queueing: { kind: "ticketed", until: time, looks: 0 } });
    case 2:
      return running({ ...over, leaseUntil: time });
    case 3:
      return waiting({ ...over, waits: [waitingFor({ kind: "timer", node: "n", until: time })] });
    case 4:
      return succeeded(over);
    case 5:
      return unsuccessful({ ...over, owes: [webhookDebt("task.failed", time)] });
    case 6:
      return queued({ ...over, queueing: { kind: "limited", key: "llm", until: time, looks: 0 } });
    default:
      return unsuccessful({ ...over, state: "cancelled" });
  }
}

function insert(items: readonly (readonly [string, Form])[]): Command {
  return {
    check: () => true,
    toString: () => `insert(${JSON.stringify(items)})`,
    run: async (model, store) => {
      const tasks = items.map(([name, form]) => taskOf(model, name, form));
      const expected = tasks.map((task) => {
        if (model.tasks.has(task.id)) return "exists";
        model.tasks.set(task.id, { task, rev: 0 });
        return "inserted";
      });
      expect(await store.insert(tasks)).toEqual(expected);
    },
  };
}

interface ModelChange {
  readonly name: string;
  readonly form: Form;
  readonly revOff: number;
  readonly runs: readonly { readonly path: string; readonly attempt: number; readonly report: number }[];
}

function changes(): fc.Arbitrary<readonly ModelChange[]> {
  const revOff = fc.constantFrom(0, 0, 0, 0, -1, 1);
  const change = fc.record({
    name: names,
    form: forms,
    revOff,
    runs: fc.uniqueArray(runForms, { maxLength: 2, selector: (one) => one.path }),
  });
  // Which of two changes to one task in one call wins is not promised, so a call names each task once.
  return fc.uniqueArray(change, { maxLength: 4, selector: (one) => one.name });
}

function replace(items: readonly ModelChange[]): Command {
  return {
    check: () => true,
    toString: () => `replace(${JSON.stringify(items)})`,
    run: async (model, store) => {
      const sent = items.map(({ name, form, revOff, runs }) => {
        const next = taskOf(model, name, form);
        const rev = (model.tasks.get(next.id)?.rev ?? 0) + revOff;
        // Whether runs of a refused header are kept is not promised, so only changes that will be accepted carry them.
        return { next, rev, nodeRuns: revOff === 0 && model.tasks.has(next.id) ? runs.map((run) => nodeRun(next, run)) : [] };
      });
      const expected = sent.map(({ next, rev, nodeRuns }) => {
        if (model.tasks.get(next.id)?.rev !== rev) return "stale";
        model.tasks.set(next.id, { task: next, rev: rev + 1 });
        for (const run of nodeRuns) {
          const key = `${run.taskId} ${run.path}`;
          if ((model.runs.get(key)?.attempt ?? 0) <= run.attempt) model.runs.set(key, run);
        }
        return "replaced";
      });
      expect(await store.replace(sent)).toEqual(expected);
    },
  };
}

/** Looks at the whole store by every method that reads. */
function look(): fc.Arbitrary<Command> {
  return fc.record({ until: fc.nat(6), limit: fc.integer({ min: 1, max: 6 }) }).map(({ until, limit }) => ({
    check: () => true,
    toString: () => `look(${until}, ${limit})`,
    run: async ({ project, partition, tasks, runs }, store) => {
      const all = [...tasks.values()].sort((a, b) => (a.task.id < b.task.id ? -1 : 1));
      const keys = ["a", "b", "c", "d", "e", "f"].map((name) => ({ project, id: `${project}.${name}` }));
      expect(await store.get(keys)).toStrictEqual(keys.map((key) => tasks.get(key.id)));
      expect(await store.list({ project, limit })).toStrictEqual([...all].reverse().slice(0, limit));

      const wakes = all.flatMap((one) => wakeAt(one.task) ?? []);
      expect(await store.nextDue([partition])).toBe(wakes.length > 0 ? Math.min(...wakes) : undefined);
      const due = all
        .filter((one) => (wakeAt(one.task) ?? Number.POSITIVE_INFINITY) <= t0 + until)
        .sort((a, b) => (wakeAt(a.task) ?? 0) - (wakeAt(b.task) ?? 0));
      expect(await store.listDue([partition], t0 + until, limit)).toStrictEqual(due.slice(0, limit));

      const backlog = all.filter(({ task }) => task.state === "queued" && task.queueing.kind === "backlog");
      expect(await store.listBacklog(partition, limit)).toStrictEqual(backlog.slice(0, limit));
      const limited = all.filter(({ task }) => task.state === "queued" && task.queueing.kind === "limited");
      expect(await store.listLimited(project, "llm", limit)).toStrictEqual(limited.slice(0, limit));
      expect(await store.countLimited(project, "llm", limit)).toBe(Math.min(limit, limited.length));
      for (const key of keys) {
        const mine = [...runs.values()].filter((run) => run.taskId === key.id);
        mine.sort((a, b) => a.attempt - b.attempt || a.report - b.report || (a.path < b.path ? -1 : 1));
        expect(await store.listNodeRuns(key, 10)).toStrictEqual(mine);
        const named = ["y", "x"].map((path) => ({ ...key, path }));
        expect(await store.getNodeRuns(named)).toStrictEqual(named.map(({ path }) => mine.find((run) => run.path === path)));
        const only = mine.filter((run) => run.path === "x");
        expect(await store.listNodeRuns(key, 10, undefined, { prefix: "x" })).toStrictEqual(only);
      }
    },
  }));
}
