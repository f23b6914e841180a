import type { Json, Live, PublishResult, Ticket, TicketInlet, TicketOutlet, TicketVerdict } from "@longhaul/core";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./simulated-time.ts";

/** A broker that loses, doubles and reorders. */
export interface SimulatedBroker {
  outlet(process: SimulatedProcess): TicketOutlet;
  inlet(process: SimulatedProcess): TicketInlet;
  live(process: SimulatedProcess): Live;
  /** Every ticket is gone; the schedulers hear of it. */
  wipe(): void;
  /** Tickets that a living process may still be given. */
  credit(process: SimulatedProcess): number;
  /** How much goes wrong with tickets and messages: the probability of each. */
  rates: { lost: number; twice: number };
}

interface Out {
  readonly partition: number;
  readonly ticket: Ticket;
}
interface Consumer {
  readonly process: SimulatedProcess;
  readonly take: (tickets: readonly Ticket[]) => Promise<readonly TicketVerdict[]>;
  readonly underWay: Set<Promise<void>>;
  credit: number;
  stopped: boolean;
}

/** A ticket whose taker says nothing for so long is given to another one. */
const answerWithinMs = 40_000;

export function simulatedBroker(faults: Faults, window: number): SimulatedBroker {
  const { time, random } = faults;
  const pending = new Map<string, Out>();
  const waiting: Out[] = [];
  const consumers: Consumer[] = [];
  const losses = new Map<() => void, SimulatedProcess>();
  const listeners = new Map<string, Set<{ readonly process: SimulatedProcess; readonly onMessage: (message: Json) => void }>>();
  const gaps = new Map<() => void, SimulatedProcess>();
  let isPlanned = false;

  function plan(): void {
    if (isPlanned) return;
    isPlanned = true;
    time.later(random() * 5, () => {
      isPlanned = false;
      deliver();
    });
  }

  function deliver(): void {
    const ready = consumers.filter(({ process, stopped, credit }) => !process.dead && !stopped && credit > 0);
    const consumer = ready[Math.floor(random() * ready.length)];
    if (consumer === undefined || waiting.length === 0) return;
    const group: Out[] = [];
    const count = Math.min(consumer.credit, waiting.length, 1 + Math.floor(random() * 4));
    for (let i = 0; i < count; i++) {
      // Now and then out of order.
      const [out] = waiting.splice(random() < 0.2 ? Math.floor(random() * waiting.length) : 0, 1);
      if (out !== undefined && pending.get(out.ticket.taskId) === out) group.push(out);
    }
    consumer.credit -= group.length;
    if (group.length > 0) hand(consumer, group);
    if (waiting.length > 0) plan();
  }

  function hand(consumer: Consumer, group: readonly Out[]): void {
    let isAnswered = false;
    const comeBack = (out: Out, ms: number): void =>
      time.later(ms, () => {
        if (pending.get(out.ticket.taskId) !== out || waiting.includes(out)) return;
        waiting.push(out);
        plan();
      });
    time.later(answerWithinMs, () => {
      if (!isAnswered) for (const out of group) comeBack(out, 0);
    });
    const answered = time
      .as(consumer.process, () => consumer.take(group.map(({ ticket }) => ticket)))
      .then((verdicts) => {
        faults.onCrossing(consumer.process, "ack", "before");
        // What was not acked comes back to somebody else in time.
        if (consumer.process.dead) return;
        isAnswered = true;
        group.forEach((out, i) => {
          const verdict = verdicts[i];
          if (verdict?.kind === "done" && random() >= faults.rates.after) {
            if (pending.get(out.ticket.taskId) === out) pending.delete(out.ticket.taskId);
          } else comeBack(out, verdict?.kind === "retry" ? verdict.delayMs : 500);
        });
        faults.onCrossing(consumer.process, "ack", "after");
      })
      .finally(() => consumer.underWay.delete(answered));
    consumer.underWay.add(answered);
  }

  function publishOne(partition: number, ticket: Ticket): PublishResult {
    if (pending.has(ticket.taskId)) return "pending";
    if ([...pending.values()].filter((out) => out.partition === partition).length >= window) return "full";
    if (random() < self.rates.lost) return "published";
    const out = { partition, ticket };
    pending.set(ticket.taskId, out);
    waiting.push(out);
    if (random() < self.rates.twice) waiting.push(out);
    plan();
    return "published";
  }

  const self: SimulatedBroker = {
    rates: { lost: 0, twice: 0 },

    outlet: (process) => ({
      publish: (partition, tickets) =>
        faults.cross(process, "publish", async () => tickets.map((ticket) => publishOne(partition, ticket))),
      unclaimed: (partitions) =>
        faults.cross(
          process,
          "unclaimed",
          async () =>
            new Map(partitions.map((one) => [one, [...pending.values()].filter((out) => out.partition === one).length])),
        ),
      onLoss(notify) {
        losses.set(notify, process);
        return () => void losses.delete(notify);
      },
    }),

    inlet: (process) => ({
      consume(take) {
        const consumer: Consumer = { process, take, underWay: new Set(), credit: 0, stopped: false };
        consumers.push(consumer);
        return {
          grant(count) {
            if (consumer.stopped) return;
            consumer.credit += count;
            plan();
          },
          async stop() {
            consumer.stopped = true;
            consumer.credit = 0;
            await Promise.all(consumer.underWay);
          },
        };
      },
    }),

    live: (process) => ({
      publish(subject, message) {
        if (process.dead) return;
        faults.onCrossing(process, "live", "before");
        if (process.dead) return;
        for (const listener of listeners.get(subject) ?? []) {
          if (random() < self.rates.lost) continue;
          time.later(random() * 10, () => listener.onMessage(message), listener.process);
        }
        faults.onCrossing(process, "live", "after");
      },
      subscribe(subject, onMessage) {
        const those = listeners.get(subject) ?? new Set();
        const listener = { process, onMessage };
        those.add(listener);
        listeners.set(subject, those);
        return { ready: time.wait(random() * 20), close: () => void those.delete(listener) };
      },
      onGap(notify) {
        gaps.set(notify, process);
        return () => void gaps.delete(notify);
      },
    }),

    wipe() {
      pending.clear();
      waiting.length = 0;
      for (const [notify, process] of [...losses, ...gaps]) time.later(100 + random() * 2_000, notify, process);
    },

    credit: (process) =>
      consumers
        .filter((consumer) => consumer.process === process && !consumer.stopped)
        .reduce((sum, { credit }) => sum + credit, 0),
  };
  return self;
}
