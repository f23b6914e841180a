import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { type Debt, type EndedTask, gatherCalls } from "@longhaul/core";
import { type DeliveryOrder, DeliveryOrderSchema, type NotifierService } from "@longhaul/proto/notifier_service";
import type { Logger } from "@longhaul/shared";
import type { Ledger } from "../ledger/ledger.ts";

/** Hands what ended tasks owe to the notifier, in groups. What is lost here comes back by `wakeAt`. */
export interface Handover {
  enqueue(task: EndedTask, debt: Debt): void;
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
          event: accepted.has(order.id)
            ? { kind: "settle" as const, event: debt.event }
            : { kind: "defer" as const, event: debt.event },
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

  async function handOver(task: EndedTask, debt: Debt): Promise<void> {
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
        .catch((why: unknown) => log.warn({ taskId: task.id, err: why }, "a webhook was not handed over; trying again later"))
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
