import { type Json, type Live, type LiveSubscription, LonghaulError } from "@longhaul/core";
import type { NatsConnection, Subscription } from "@nats-io/transport-node";
import type { NatsLink } from "./connect-nats.ts";
import { type NatsLog, noLog } from "./nats-log.ts";
import { checkPrefix } from "./ticket-wire.ts";

export interface NatsLiveOptions {
  /** First tokens of every subject; default `lh`. */
  readonly prefix?: string;
  readonly log?: NatsLog;
}

/** A `Live` whose `close` gives up its hold on the link; the link stays open. */
export interface NatsLive extends Live {
  close(): void;
}

type OnMessage = (message: Json) => void;

interface Topic {
  readonly subject: string;
  readonly listeners: Set<{ readonly onMessage: OnMessage }>;
  /** Undefined until the first connection. */
  subscription: Subscription | undefined;
  connection: NatsConnection | undefined;
}

const subjectForm = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const readyPatienceMs = 1_000;

/**
 * Live subjects over core NATS. While disconnected, `publish` drops and `ready` resolves at once: what is missed until the connection
 * is back is told by `onGap`.
 */
export function natsLive(link: NatsLink, { prefix = "lh", log = noLog }: NatsLiveOptions = {}): NatsLive {
  const head = `${checkPrefix(prefix)}.live.`;
  const topics = new Map<string, Topic>();
  const gaps = new Set<() => void>();
  let flushed: Promise<void> | undefined;
  let missed = !link.ready();

  function listen(connection: NatsConnection, topic: Topic): void {
    if (topic.connection === connection) return;
    topic.connection = connection;
    topic.subscription = connection.subscribe(head + topic.subject, {
      callback: (err, msg) => {
        // Nothing may be thrown here: it would end the connection's reader.
        if (err) log.warn({ err, subject: topic.subject }, "this process may not listen to a live subject");
        else deliver(topic, msg.data);
      },
    });
  }

  function deliver(topic: Topic, data: Uint8Array): void {
    let message: Json;
    try {
      message = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
    } catch {
      log.warn({ subject: topic.subject }, "dropped a live message that is no JSON");
      return;
    }
    for (const { onMessage } of topic.listeners) {
      try {
        onMessage(message);
      } catch (err) {
        log.warn({ err, subject: topic.subject }, "a listener of a live subject failed");
      }
    }
  }

  /** One round trip for all that subscribed within a turn. */
  function settled(): Promise<void> {
    flushed ??= new Promise((resolve) => {
      queueMicrotask(() => {
        flushed = undefined;
        if (!link.ready()) return resolve();
        const timer = setTimeout(resolve, readyPatienceMs);
        timer.unref();
        const done = (): void => {
          clearTimeout(timer);
          resolve();
        };
        link.connection().flush().then(done, done);
      });
    });
    return flushed;
  }

  const stopUp = link.onUp((connection) => {
    for (const topic of topics.values()) listen(connection, topic);
    if (!missed) return;
    missed = false;
    // After a round trip, so that whoever now reads its snapshot misses nothing that comes later.
    void settled().then(() => {
      for (const notify of [...gaps]) notify();
    });
  });
  const stopDown = link.onDown(() => {
    missed = true;
  });

  return {
    publish(subject, message) {
      if (!link.ready() || !subjectForm.test(subject)) return;
      try {
        link.connection().publish(head + subject, JSON.stringify(message));
      } catch (err) {
        // Too large for the server, or just closing: live messages may be lost, their reader has the snapshot.
        log.warn({ err, subject }, "dropped a live message");
      }
    },
    subscribe(subject, onMessage): LiveSubscription {
      if (!subjectForm.test(subject)) {
        throw new LonghaulError("invalid_argument", "a live subject is made of dot-separated tokens of letters, digits, - and _");
      }
      let topic = topics.get(subject);
      if (!topic) {
        topic = { subject, listeners: new Set(), subscription: undefined, connection: undefined };
        topics.set(subject, topic);
        if (link.ready()) listen(link.connection(), topic);
      }
      const those = topic;
      const listener = { onMessage };
      those.listeners.add(listener);
      return {
        ready: settled(),
        close() {
          if (!those.listeners.delete(listener) || those.listeners.size > 0) return;
          topics.delete(subject);
          if (those.subscription && !those.subscription.isClosed()) those.subscription.unsubscribe();
        },
      };
    },
    onGap(notify) {
      gaps.add(notify);
      return () => gaps.delete(notify);
    },
    close() {
      stopUp();
      stopDown();
      gaps.clear();
      for (const { subscription } of topics.values()) if (subscription && !subscription.isClosed()) subscription.unsubscribe();
      topics.clear();
    },
  };
}
