import { setTimeout as pause } from "node:timers/promises";
import { LonghaulError, type PublishResult, type TicketInlet, type TicketOutlet } from "@longhaul/core";
import type { NatsLink } from "./connect-nats.ts";
import { type NatsLog, noLog } from "./nats-log.ts";
import { consumeTickets } from "./ticket-consumer.ts";
import { type Outgoing, type OutgoingResult, ticketPublisher } from "./ticket-publisher.ts";
import { ticketStream } from "./ticket-stream.ts";
import { ticketWindow } from "./ticket-window.ts";
import { checkPrefix, encodeTicket, ticketSubject } from "./ticket-wire.ts";

export interface JetstreamDispatchOptions {
  /** Default `LONGHAUL_TICKETS`. Installations that share a server need different streams and prefixes. */
  readonly stream?: string;
  /** Name of the durable consumer that all executors share; default `executors`. */
  readonly consumer?: string;
  /** First tokens of every subject; default `lh`. */
  readonly prefix?: string;
  /** The most tickets of one partition that are out and unclaimed; default 256. */
  readonly window?: number;
  /** The most tickets that the stream takes at all; default 64 windows. */
  readonly maxTickets?: number;
  /** Default `memory`: losing the tickets costs a second or two, writing them to disk costs more every day. */
  readonly storage?: "memory" | "file";
  /** Copies of the stream in a cluster of servers; default 1. */
  readonly replicas?: number;
  /** When a ticket comes back that was delivered and not answered for; default 5,000. Too early is harmless: claims are compare-and-set. */
  readonly ackWaitMs?: number;
  /** When a ticket comes back whose taker rejected; default 500. */
  readonly rejectedDelayMs?: number;
  /** How often the outlet looks whether its stream is still there; default 1,000. */
  readonly checkMs?: number;
  /** How long a published ticket's answer may take; default 3,000. */
  readonly answerMs?: number;
  /** How long a pull waits at the server before it is renewed, and how often it is confirmed; default 30,000 and 1,000. */
  readonly pullMs?: number;
  readonly heartbeatMs?: number;
  /** As given to `connectNats`; default `_INBOX`. */
  readonly inboxPrefix?: string;
  readonly log?: NatsLog;
}

export interface JetstreamDispatch {
  readonly outlet: TicketOutlet;
  readonly inlet: TicketInlet;
  /** True while connected and the stream and its consumer are there. */
  ready(): boolean;
  /** Stops looking after the stream; flows are stopped by whoever started them, before this. The link stays open. */
  close(): void;
}

const mendPatienceMs = 2_000;

/**
 * Tickets over JetStream. The stream is made when it is missing, at the start and at any time later; `onLoss` then calls, as it does
 * after each reconnect.
 */
export function jetstreamDispatch(link: NatsLink, options: JetstreamDispatchOptions = {}): JetstreamDispatch {
  const { stream: streamName = "LONGHAUL_TICKETS", consumer = "executors", window: size = 256, log = noLog } = options;
  const { inboxPrefix = "_INBOX", answerMs = 3_000, rejectedDelayMs = 500, pullMs = 30_000, heartbeatMs = 1_000 } = options;
  const prefix = checkPrefix(options.prefix ?? "lh");
  if (!Number.isInteger(size) || size < 1) {
    throw new LonghaulError("invalid_argument", `the ticket window must be a whole number of at least 1, not ${size}`);
  }
  const stream = ticketStream(link, {
    stream: streamName,
    consumer,
    prefix,
    storage: options.storage ?? "memory",
    replicas: options.replicas ?? 1,
    maxTickets: options.maxTickets ?? size * 64,
    ackWaitMs: options.ackWaitMs ?? 5_000,
    checkMs: options.checkMs ?? 1_000,
    log,
  });
  const publisher = ticketPublisher(link, { inboxPrefix, answerMs });
  const window = ticketWindow(size, (partitions) => stream.count(partitions));
  stream.onLoss(() => window.reset());

  async function needStream(): Promise<void> {
    if (stream.ready()) return;
    link.connection();
    await Promise.race([stream.mend(), pause(mendPatienceMs, undefined, { ref: false })]);
    if (!stream.ready()) throw unavailable();
  }

  async function send(tickets: readonly Outgoing[]): Promise<readonly PublishResult[]> {
    const results = await publisher.send(tickets);
    if (!results.includes("gone")) return results.map(stored);
    // Nobody listens to the subject: the stream was deleted. It is made anew, and these go out once more.
    await stream.mend();
    if (!stream.ready()) throw unavailable();
    const again = await publisher.send(tickets.filter((_, at) => results[at] === "gone"));
    let next = 0;
    return results.map((result) => stored(result === "gone" ? (again[next++] ?? "gone") : result));
  }

  const outlet: TicketOutlet = {
    async publish(partition, tickets) {
      const outgoing = tickets.map((ticket) => ({
        subject: ticketSubject(prefix, partition, ticket.taskId),
        body: encodeTicket(ticket),
      }));
      if (outgoing.length === 0) return [];
      stream.watch();
      await needStream();
      if (window.room(partition) < outgoing.length) await window.refresh([partition]);
      const count = Math.min(window.room(partition), outgoing.length);
      if (count === 0) return outgoing.map(() => "full");
      window.reserve(partition, count);
      // When it fails, some may be out all the same; until the next count they are taken to be.
      let published = count;
      try {
        const results = await send(count === outgoing.length ? outgoing : outgoing.slice(0, count));
        published = results.filter((result) => result === "published").length;
        return count === outgoing.length ? results : outgoing.map((_, at) => results[at] ?? "full");
      } finally {
        window.settle(partition, count, published);
      }
    },
    async unclaimed(partitions) {
      if (partitions.length > 0) {
        stream.watch();
        await needStream();
        await window.refresh(partitions);
      }
      return new Map(partitions.map((partition) => [partition, window.out(partition)]));
    },
    onLoss(notify) {
      stream.watch();
      return stream.onLoss(notify);
    },
  };

  const inlet: TicketInlet = {
    consume: (take) =>
      consumeTickets(
        link,
        stream,
        { stream: streamName, consumer, inboxPrefix, rejectedDelayMs, pullMs, heartbeatMs, log },
        take,
      ),
  };

  return {
    outlet,
    inlet,
    ready: () => stream.ready(),
    close() {
      publisher.close();
      stream.close();
    },
  };
}

function stored(result: OutgoingResult): PublishResult {
  if (result === "gone") throw unavailable();
  return result;
}

function unavailable(): LonghaulError {
  return new LonghaulError("unavailable", "the stream of tickets can't be reached or made", { retryAfterMs: 1_000 });
}
