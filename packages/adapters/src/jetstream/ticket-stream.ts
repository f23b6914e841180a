import { setTimeout as pause } from "node:timers/promises";
import { LonghaulError } from "@longhaul/core";
import {
  AckPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import type { NatsLink } from "./connect-nats.ts";
import type { NatsLog } from "./nats-log.ts";
import { allTickets, partitionOf, ticketsOf } from "./ticket-wire.ts";

export interface TicketStreamOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly prefix: string;
  readonly storage: "memory" | "file";
  readonly replicas: number;
  readonly maxTickets: number;
  readonly ackWaitMs: number;
  readonly checkMs: number;
  readonly log: NatsLog;
}

/** The stream and its consumer, made and made again whenever they are missing. */
export interface TicketStream {
  /** True while the stream and the consumer were there when last looked at. */
  ready(): boolean;
  /** Resolves when both are there, or when the connection is lost or the stream closed: look at `ready()` then. Calls at the same time share one. */
  mend(): Promise<void>;
  /** Looks every `checkMs` whether the stream is still the same one; from the first call until closed. */
  watch(): void;
  /** Unacknowledged tickets of each partition that has any. Rejects with `unavailable`. */
  count(partitions: readonly number[]): Promise<ReadonlyMap<number, number>>;
  onLoss(notify: () => void): () => void;
  close(): void;
}

const apiTimeoutMs = 2_000;

export function ticketStream(link: NatsLink, options: TicketStreamOptions): TicketStream {
  const { stream, consumer, prefix, log, checkMs } = options;
  const losses = new Set<() => void>();
  const closing = new AbortController();
  let manager: Promise<JetStreamManager> | undefined;
  let mending: Promise<void> | undefined;
  let usable = false;
  let configured = false;
  let lossDue = false;
  /** When the stream that was last seen was made: another time means another stream. */
  let created: string | undefined;
  let checks: NodeJS.Timeout | undefined;

  const config: Partial<StreamConfig> & { name: string } = {
    name: stream,
    description: "Longhaul: tickets of tasks that may be claimed",
    subjects: [allTickets(prefix)],
    retention: RetentionPolicy.Workqueue,
    storage: options.storage === "file" ? StorageType.File : StorageType.Memory,
    num_replicas: options.replicas,
    discard: DiscardPolicy.New,
    max_msgs_per_subject: 1,
    discard_new_per_subject: true,
    max_msgs: options.maxTickets,
    // Dedupe is by subject; a window of message ids would only cost memory.
    duplicate_window: nanos(100),
  };

  function api(): Promise<JetStreamManager> {
    manager ??= jetstreamManager(link.connection(), { checkAPI: false, timeout: apiTimeoutMs });
    return manager;
  }

  async function findOrAddStream(jsm: JetStreamManager): Promise<StreamInfo> {
    try {
      return await jsm.streams.info(stream);
    } catch (err) {
      if (!isMissing(err)) throw err;
    }
    try {
      const info = await jsm.streams.add(config);
      log.info({ stream }, "made the stream of tickets");
      return info;
    } catch (err) {
      // Another process, perhaps of another version, made it meanwhile: then its configuration stands.
      return await jsm.streams.info(stream).catch(() => Promise.reject(err));
    }
  }

  async function findOrAddConsumer(jsm: JetStreamManager): Promise<void> {
    try {
      const { config } = await jsm.consumers.info(stream, consumer);
      const ack_wait = nanos(options.ackWaitMs);
      if (config.ack_wait !== ack_wait) await jsm.consumers.update(stream, consumer, { ack_wait });
      return;
    } catch (err) {
      if (!isMissing(err)) throw err;
    }
    try {
      await jsm.consumers.add(stream, {
        durable_name: consumer,
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(options.ackWaitMs),
        max_deliver: -1,
        // What is out is bounded by the stream itself and by what the executors grant.
        max_ack_pending: -1,
        max_waiting: 16_384,
      });
      log.info({ stream, consumer }, "made the consumer of tickets");
    } catch (err) {
      await jsm.consumers.info(stream, consumer).catch(() => Promise.reject(err));
    }
  }

  /** Settings that may differ from those of an earlier start. */
  async function bringUpToDate(jsm: JetStreamManager, info: StreamInfo): Promise<void> {
    const { max_msgs, num_replicas, storage, subjects } = info.config;
    if (storage !== config.storage) {
      log.warn({ stream, storage }, "the stream keeps its storage; delete it to change that, it is made anew and filled again");
    }
    const same = max_msgs === options.maxTickets && num_replicas === options.replicas && subjects.includes(allTickets(prefix));
    if (same) return;
    try {
      await jsm.streams.update(stream, {
        subjects: [allTickets(prefix)],
        max_msgs: options.maxTickets,
        num_replicas: options.replicas,
      });
      log.info({ stream }, "brought the stream of tickets up to date");
    } catch (err) {
      log.warn({ err, stream }, "the stream of tickets keeps its earlier settings");
    }
  }

  async function lookAndMake(): Promise<void> {
    const jsm = await api();
    const info = await findOrAddStream(jsm);
    noteCreated(info.created);
    // The executors need the stream; how large it is is the schedulers' business.
    if (checks && !configured) {
      await bringUpToDate(jsm, info);
      configured = true;
    }
    await findOrAddConsumer(jsm);
    usable = true;
  }

  function noteCreated(now: string): void {
    if (created !== undefined && created !== now) {
      log.warn({ stream }, "the stream of tickets is another one than before");
      lossDue = true;
      configured = false;
    }
    created = now;
  }

  function tellLoss(): void {
    if (!lossDue || !usable) return;
    lossDue = false;
    for (const notify of [...losses]) notify();
  }

  async function mendUntilGood(): Promise<void> {
    for (let tries = 0; link.ready() && !closing.signal.aborted; tries++) {
      try {
        await lookAndMake();
        tellLoss();
        return;
      } catch (err) {
        usable = false;
        if (tries === 0) log.warn({ err, stream }, "the stream of tickets can't be looked at or made; trying on");
        const waitMs = Math.min(2_000, 100 * 2 ** Math.min(tries, 6)) * (0.5 + Math.random() / 2);
        await pause(waitMs, undefined, { signal: closing.signal }).catch(() => {});
      }
    }
  }

  function mend(): Promise<void> {
    mending ??= mendUntilGood().finally(() => {
      mending = undefined;
    });
    return mending;
  }

  async function check(): Promise<void> {
    if (!usable || mending || !link.ready()) return;
    try {
      const jsm = await api();
      const info = await jsm.streams.info(stream);
      if (info.created !== created) await mend();
    } catch (err) {
      if (isMissing(err)) usable = false;
      await mend();
    }
  }

  const stopUp = link.onUp((_connection, fresh) => {
    if (fresh) manager = undefined;
    // Tickets may have gone with a server that did not come back as it was, so the scheduler looks at all of them again.
    lossDue = true;
    usable = false;
    void mend();
  });
  const stopDown = link.onDown(() => {
    usable = false;
  });

  return {
    ready: () => usable && link.ready(),
    mend,
    watch() {
      if (checks || closing.signal.aborted) return;
      checks = setInterval(() => void check(), checkMs);
      checks.unref();
      if (link.ready()) void mend();
    },
    async count(partitions) {
      const found = new Map<number, number>();
      const [only] = partitions;
      const filter = partitions.length === 1 && only !== undefined ? ticketsOf(prefix, only) : allTickets(prefix);
      try {
        const jsm = await api();
        const info = await jsm.streams.info(stream, { subjects_filter: filter });
        for (const subject of Object.keys(info.state.subjects ?? {})) {
          const partition = partitionOf(prefix, subject);
          found.set(partition, (found.get(partition) ?? 0) + 1);
        }
        return found;
      } catch (cause) {
        if (isMissing(cause)) {
          usable = false;
          void mend();
        }
        if (cause instanceof LonghaulError) throw cause;
        throw new LonghaulError("unavailable", "the message broker does not answer", { cause, retryAfterMs: 1_000 });
      }
    },
    onLoss(notify) {
      losses.add(notify);
      return () => losses.delete(notify);
    },
    close() {
      closing.abort();
      clearInterval(checks);
      stopUp();
      stopDown();
      losses.clear();
    },
  };
}

function isMissing(err: unknown): boolean {
  return (
    err instanceof JetStreamApiError &&
    (err.code === JetStreamApiCodes.StreamNotFound || err.code === JetStreamApiCodes.ConsumerNotFound)
  );
}
