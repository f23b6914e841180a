import {
  LonghaulError,
  type PublishResult,
  type Ticket,
  type TicketFlow,
  type TicketInlet,
  type TicketOutlet,
  type TicketVerdict,
} from "@longhaul/core";

export interface InProcessDispatchOptions {
  /** The most tickets of one partition that are out and unclaimed. */
  readonly window: number;
  /** When a ticket comes back whose taker rejected; default 500. */
  readonly rejectedDelayMs?: number;
}

export interface InProcessDispatch {
  readonly outlet: TicketOutlet;
  readonly inlet: TicketInlet;
}

interface Out {
  readonly partition: number;
  readonly ticket: Ticket;
}

interface Consumer {
  readonly take: (tickets: readonly Ticket[]) => Promise<readonly TicketVerdict[]>;
  readonly underWay: Set<Promise<void>>;
  credit: number;
  stopped: boolean;
}

/**
 * Tickets within one process. Costs a map entry per ticket; a group is handed over once per event-loop turn and only a ticket that
 * shall come back later needs a timer. Nothing is ever lost here, so `onLoss` never calls.
 */
export function inProcessDispatch({ window, rejectedDelayMs = 500 }: InProcessDispatchOptions): InProcessDispatch {
  if (!Number.isInteger(window) || window < 1) {
    throw new LonghaulError("invalid_argument", `the ticket window must be a whole number of at least 1, not ${window}`);
  }
  const outByTask = new Map<string, Out>();
  const countByPartition = new Map<number, number>();
  const consumers: Consumer[] = [];
  // Those before `head` are delivered; the array is cut only now and then, because shift() on a long array is slow.
  let waiting: Out[] = [];
  let head = 0;
  let turn = 0;
  let deliveryDue = false;

  function wake(): void {
    if (deliveryDue || head === waiting.length) return;
    deliveryDue = true;
    setImmediate(() => {
      deliveryDue = false;
      deliver();
    });
  }

  function deliver(): void {
    // Whoever was served last turn is last now, so that several consumers share.
    turn++;
    const from = turn;
    const count = consumers.length;
    for (let i = 0; i < count && head < waiting.length; i++) {
      const consumer = consumers[(from + i) % count];
      if (!consumer || consumer.credit === 0) continue;
      const group = waiting.slice(head, head + consumer.credit);
      head += group.length;
      consumer.credit -= group.length;
      hand(consumer, group);
    }
    if (head === waiting.length) {
      waiting = [];
      head = 0;
    } else if (head > 1_024) {
      waiting = waiting.slice(head);
      head = 0;
    }
  }

  function hand(consumer: Consumer, group: readonly Out[]): void {
    const answered = answer(consumer, group).finally(() => consumer.underWay.delete(answered));
    consumer.underWay.add(answered);
  }

  async function answer(consumer: Consumer, group: readonly Out[]): Promise<void> {
    let verdicts: readonly TicketVerdict[] = [];
    try {
      verdicts = await consumer.take(group.map((out) => out.ticket));
    } catch {
      // Whatever was wrong, it is the taker's to tell; the tickets come back.
    }
    group.forEach((out, at) => {
      const verdict = verdicts[at];
      if (verdict?.kind === "done") remove(out);
      else setTimeout(comeBack, verdict?.delayMs ?? rejectedDelayMs, out).unref();
    });
  }

  function comeBack(out: Out): void {
    waiting.push(out);
    wake();
  }

  function remove({ partition, ticket }: Out): void {
    outByTask.delete(ticket.taskId);
    const left = (countByPartition.get(partition) ?? 1) - 1;
    if (left === 0) countByPartition.delete(partition);
    else countByPartition.set(partition, left);
  }

  function publishOne(partition: number, ticket: Ticket): PublishResult {
    if (outByTask.has(ticket.taskId)) return "pending";
    const count = countByPartition.get(partition) ?? 0;
    if (count >= window) return "full";
    const out = { partition, ticket };
    outByTask.set(ticket.taskId, out);
    countByPartition.set(partition, count + 1);
    waiting.push(out);
    return "published";
  }

  const outlet: TicketOutlet = {
    publish: async (partition, tickets) => {
      const results = tickets.map((ticket) => publishOne(partition, ticket));
      wake();
      return results;
    },
    unclaimed: async (partitions) => new Map(partitions.map((partition) => [partition, countByPartition.get(partition) ?? 0])),
    onLoss: () => () => {},
  };

  const inlet: TicketInlet = {
    consume(take): TicketFlow {
      const consumer: Consumer = { take, underWay: new Set(), credit: 0, stopped: false };
      consumers.push(consumer);
      return {
        grant(count) {
          if (consumer.stopped) return;
          consumer.credit += checkedGrant(count);
          wake();
        },
        async stop() {
          if (!consumer.stopped) {
            consumer.stopped = true;
            consumer.credit = 0;
            consumers.splice(consumers.indexOf(consumer), 1);
          }
          await Promise.all(consumer.underWay);
        },
      };
    },
  };

  return { outlet, inlet };
}

function checkedGrant(count: number): number {
  if (Number.isInteger(count) && count >= 0) return count;
  throw new LonghaulError("invalid_argument", `tickets are granted in whole numbers, not ${count}`);
}
