import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { type Debt, type EndedTask, gatherCalls, isEnded, type Task, unreachable } from "@longhaul/core";
import { type DeliveryOrder, DeliveryOrderSchema, type NotifierService } from "@longhaul/proto/notifier_service";
import type { Logger } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";

/** Hands over what tasks owe: messages to the notifier, in groups; outcomes and ends to other tasks; slots to their limits. What is lost here comes back by `wakeAt`. */
export interface Handover {
  enqueue(task: Task, debt: Debt): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

/** Beyond this many the sweeper brings them back later, so that a dead notifier costs no memory. */
const maxWaiting = 2_000;

export function handover(deps: {
  readonly notifier: Pick<Client<typeof NotifierService>, "accept">;
  readonly ledger: () => Ledger;
  /** The exact bytes to post: the event with the task as GET shows it. */
  readonly bodyOf: (task: EndedTask, event: string) => Promise<Uint8Array>;
  /** Brings the outcome to the task that waits for it. */
  readonly toParent: (task: EndedTask) => Promise<void>;
  /** Ends the tasks that the ended one waited for. */
  readonly toChildren: (task: EndedTask) => Promise<void>;
  /** Frees the slots that it took for this hold and earlier ones. */
  readonly freeSlots: (task: Task, hold: number) => Promise<void>;
  readonly log: Logger;
  readonly timeoutMs: number;
}): Handover {
  const { notifier, log } = deps;
  let waiting = 0;
  let idle: (() => void)[] = [];

  const send = gatherCalls<{ readonly order: DeliveryOrder; readonly task: EndedTask; readonly debt: Debt }, undefined>(
    async (items) => {
      let accepted: ReadonlySet<string> = new Set();
      try {
        const answer = await notifier.accept({ orders: items.map(({ order }) => order) }, { timeoutMs: deps.timeoutMs });
        accepted = new Set(answer.accepted);
      } catch (why) {
        log.warn({ deliveries: items.length, err: why }, "the notifier did not take over; trying again later");
      }
      await deps.ledger().apply(
        items.map(({ task, debt, order }) => ({
          key: { project: task.project, id: task.id },
          event: accepted.has(order.id) ? { kind: "settle" as const, key: debt.key } : { kind: "defer" as const, key: debt.key },
        })),
      );
      return items.map(() => undefined);
    },
    {
      maxItems: 256,
      maxBytes: 4 * 1_048_576,
      sizeOf: ({ order }) => order.body.length + 512,
      minWhileBusy: 1,
      maxHeldItems: maxWaiting + 1,
    },
  );

  async function handOver(task: Task, debt: Debt): Promise<void> {
    if (debt.kind === "slots") return pay(task, debt, deps.freeSlots(task, debt.hold));
    // The others are owed from the end on.
    if (!isEnded(task)) return;
    switch (debt.kind) {
      case "webhook":
        return post(task, debt);
      case "parent":
        return pay(task, debt, deps.toParent(task));
      case "children":
        return pay(task, debt, deps.toChildren(task));
      default:
        return unreachable(debt);
    }
  }

  /** Confirmed once it is done, whatever became of the other task: what is owed is told, not accepted. */
  async function pay(task: Task, debt: Debt, done: Promise<void>): Promise<void> {
    const key = { project: task.project, id: task.id };
    try {
      await done;
    } catch (why) {
      await deps.ledger().apply([{ key, event: { kind: "defer", key: debt.key } }]);
      throw why;
    }
    await deps.ledger().apply([{ key, event: { kind: "settle", key: debt.key } }]);
  }

  async function post(task: EndedTask, debt: Extract<Debt, { kind: "webhook" }>): Promise<void> {
    const { webhook } = task;
    if (webhook === undefined) return;
    const order = create(DeliveryOrderSchema, {
      id: `${task.id}.${debt.event}`,
      project: task.project,
      taskId: task.id,
      event: debt.event,
      url: webhook.url,
      sealedSecrets: [...webhook.sealedSecrets],
      sealedHeaders: { ...webhook.sealedHeaders },
      body: await deps.bodyOf(task, debt.event),
    });
    await send({ order, task, debt });
  }

  return {
    enqueue(task, debt) {
      if (waiting >= maxWaiting) return;
      waiting++;
      handOver(task, debt)
        .catch((why: unknown) =>
          log.warn({ taskId: task.id, debt: debt.key, err: why }, "what a task owes was not handed over; trying again later"),
        )
        .finally(() => {
          waiting--;
          if (waiting > 0) return;
          for (const done of idle) done();
          idle = [];
        });
    },
    idle: () => (waiting === 0 ? Promise.resolve() : new Promise((done) => idle.push(done))),
  };
}
