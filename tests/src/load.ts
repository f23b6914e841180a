import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { type Api, hasEnded, type TaskView } from "./api.ts";
import { type Hooks, hookSecret } from "./hooks.ts";
import type { Outside } from "./outside.ts";
import { until } from "./until.ts";

/** Three nodes, one of which does something outside that must not be done twice. */
export function workflow(name: string, outsideUrl: string) {
  return {
    name,
    input: { type: "object", required: ["n"], properties: { n: { type: "integer" } } },
    nodes: [
      { id: "before", kind: "transform", with: { n: "${ input.n }" } },
      {
        id: "pay",
        kind: "http",
        needs: ["before"],
        with: { method: "POST", url: `${outsideUrl}/pay/${name}`, json: { task: "${ task.id }", n: "${ nodes.before.n }" } },
        retry: { attempts: 5, delay: "100ms" },
      },
      {
        id: "after",
        kind: "transform",
        needs: ["pay"],
        with: { n: "${ input.n }", doubled: "${ input.n * 2 }", paid: "${ nodes.pay.body.n }" },
      },
    ],
    output: "${ nodes.after }",
  };
}

export interface LoadOptions {
  readonly api: Api;
  /** Further callers that take turns with the first. */
  readonly apis?: readonly Api[];
  readonly name: string;
  readonly tasks: number;
  readonly outside: Outside;
  readonly hooks: Hooks;
  readonly concurrency?: number;
  /** How long a payment takes. */
  readonly payMs?: number;
}

export interface Load {
  /** Ids that were answered with 2xx, and the `n` of their input. */
  readonly accepted: ReadonlyMap<string, number>;
  /** Answers other than 2xx that were got, by status; 0 stands for a broken connection. */
  readonly refusals: ReadonlyMap<number, number>;
  /** Resolves when so many are accepted. */
  reached(count: number): Promise<void>;
  /** Resolves when all are accepted. */
  readonly submitted: Promise<void>;
  /** Waits until everything has ended, and checks all of it. */
  expectKept(): Promise<readonly TaskView[]>;
}

/** Submits tasks as a stubborn client does; every second one with an idempotency key, which it uses again until it has an answer. */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const { api, name, tasks, outside, hooks, concurrency = 16, payMs = 15 } = options;
  const apis = [api, ...(options.apis ?? [])];
  outside.answer(`/pay/${name}`, async (call) => {
    await pause(payMs);
    return { n: JSON.parse(call.body).n };
  });
  await api.put(workflow(name, outside.url));

  const accepted = new Map<string, number>();
  const refusals = new Map<number, number>();
  const keyed = new Map<string, string>();
  const marks: { readonly count: number; readonly resolve: () => void }[] = [];
  let next = 0;

  const submitOne = async (n: number): Promise<void> => {
    const key = n % 2 === 0 ? `${name}-${n}` : undefined;
    for (let turn = n; ; turn++) {
      const caller = apis[turn % apis.length] ?? api;
      const status = await caller
        .call("/v1/tasks", {
          headers: key === undefined ? {} : { "idempotency-key": key },
          body: {
            workflow: name,
            input: { n },
            labels: { load: name },
            webhook: { url: `${hooks.url}${name}`, secret: hookSecret },
          },
        })
        .then(
          (reply) => {
            if (reply.status === 202 || reply.status === 200) {
              const { id } = reply.json<TaskView>();
              accepted.set(id, n);
              if (key !== undefined) {
                expect(keyed.get(key) ?? id, "one key, one task").toBe(id);
                keyed.set(key, id);
              }
            } else if (reply.status < 500) throw new Error(`submit answered ${reply.status}: ${reply.text}`);
            else
              expect(reply.headers["retry-after"] ?? "none", `a ${reply.status} says when to come again: ${reply.text}`).toMatch(
                /^\d+$/,
              );
            return reply.status;
          },
          () => 0,
        );
      if (status === 202 || status === 200) break;
      refusals.set(status, (refusals.get(status) ?? 0) + 1);
      // As any client would before it tries again.
      await pause(50);
    }
    for (const mark of marks) if (accepted.size >= mark.count) mark.resolve();
  };
  const submitted = Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (next < tasks) await submitOne(next++);
    }),
  ).then(() => {});
  submitted.catch(() => {});

  async function expectKept(): Promise<readonly TaskView[]> {
    await submitted;
    const ids = [...accepted.keys()];
    const ended = new Map<string, TaskView>();
    await inTurns(ids, 24, async (id) => {
      ended.set(id, await api.ended(id, 90_000));
    });
    for (const [id, n] of accepted) {
      const task = ended.get(id);
      expect(task?.state, JSON.stringify(task)).toBe("succeeded");
      expect(task?.output).toEqual({ n, doubled: n * 2, paid: n });
    }
    // Also those whose acceptance got lost on its way to us.
    const all = await until(
      async () => {
        const found = await api.list(`workflow=${name}&pageSize=500`);
        return found.every((task) => hasEnded(task) && task.delivery?.state === "delivered") ? found : undefined;
      },
      60_000,
      "the end of every task and delivery",
    );
    const known = new Set(all.map((task) => task.id));
    expect(ids.filter((id) => !known.has(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);

    const paid = new Map<string, Set<string>>();
    for (const call of outside.calls.filter((one) => one.path === `/pay/${name}`)) {
      const { task } = JSON.parse(call.body);
      paid.set(task, (paid.get(task) ?? new Set()).add(call.key));
    }
    expect([...paid.entries()].filter(([, keys]) => keys.size !== 1)).toEqual([]);
    expect(new Set(paid.keys())).toEqual(known);
    expect(outside.keysOf(`/pay/${name}`).size).toBe(known.size);

    const told = new Map<string, Set<string>>();
    for (const message of hooks.messages().filter((one) => one.path === `/${name}`)) {
      expect(message.type).toBe("task.succeeded");
      told.set(message.task.id, (told.get(message.task.id) ?? new Set()).add(message.id));
    }
    expect(new Set(told.keys())).toEqual(known);
    expect([...told.values()].every((messageIds) => messageIds.size === 1)).toBe(true);
    return all;
  }

  return {
    accepted,
    refusals,
    submitted,
    expectKept,
    reached: (count) =>
      new Promise((resolve, reject) => {
        if (accepted.size >= count) return resolve();
        marks.push({ count, resolve });
        submitted.then(() => reject(new Error(`only ${accepted.size} were accepted`)), reject);
      }),
  };
}

async function inTurns<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let at = next++; at < items.length; at = next++) {
        const item = items[at];
        if (item !== undefined) await work(item);
      }
    }),
  );
}
