import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";

export interface PullLaneOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly inboxPrefix: string;
  /** How long a pull waits at the server before it is renewed. */
  readonly pullMs: number;
  /** How often the server says that a waiting pull is still known. */
  readonly heartbeatMs: number;
}

/**
 * How a pull ended that did not get all it asked for. `expired`: by its time. `gone`: no such consumer. `refused`: for now.
 * `silent`: the server is not heard of any more; whether it still knows the pull is uncertain.
 */
export interface PullEnd {
  readonly kind: "expired" | "gone" | "refused" | "silent";
  readonly unused: number;
  readonly why: string;
}

/** One pull at a time, with a reply subject of its own, so that its messages and its end are known to be its own. */
export interface PullLane {
  idle(): boolean;
  /** How many messages the pull may still bring. */
  open(): number;
  pull(count: number): void;
  /** Ends the pull as `silent` when nothing was heard since `limit` (as `performance.now()` tells time). */
  checkSilence(limit: number): void;
  /** Forgets the pull; answers what it did not use. Messages that come all the same are reported as unexpected. */
  abandon(): number;
  /** Stops listening; resolves when no more messages can come. */
  leave(): Promise<void>;
}

export function pullLane(
  connection: NatsConnection,
  { stream, consumer, inboxPrefix, pullMs, heartbeatMs }: PullLaneOptions,
  onMessage: (msg: Msg, expected: boolean) => void,
  onEnd: (end: PullEnd) => void,
): PullLane {
  const inbox = createInbox(inboxPrefix);
  const request = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
  let open = 0;
  let number = 0;
  let heardAt = 0;

  function end(kind: PullEnd["kind"], why: string): void {
    const unused = open;
    open = 0;
    number++;
    onEnd({ kind, unused, why });
  }

  const subscription = connection.subscribe(`${inbox}.*`, {
    callback: (err, msg) => {
      // Nothing may be thrown here: it would end the connection's reader.
      if (err) {
        if (open > 0) end("refused", "this process may not listen for tickets");
        return;
      }
      heardAt = performance.now();
      if (msg.reply) {
        const expected = open > 0;
        if (expected) open--;
        onMessage(msg, expected);
        return;
      }
      // A status, and of which pull is told by the subject it came to. Messages keep the subject they were published with.
      if (open === 0 || msg.subject !== `${inbox}.${number}`) return;
      const code = msg.headers?.code ?? 0;
      if (code === 100) return;
      const why = `${code} ${msg.headers?.description ?? ""}`.trim();
      if (code === 408) end("expired", why);
      else if (code === 503 || /deleted/i.test(why)) end("gone", why);
      else end("refused", why);
    },
  });

  return {
    idle: () => open === 0,
    open: () => open,
    pull(count) {
      number++;
      heardAt = performance.now();
      const body = `{"batch":${count},"expires":${pullMs * 1e6},"idle_heartbeat":${heartbeatMs * 1e6}}`;
      connection.publish(request, body, { reply: `${inbox}.${number}` });
      open = count;
    },
    checkSilence(limit) {
      if (open > 0 && heardAt < limit) end("silent", "nothing is heard of the pull");
    },
    abandon() {
      const unused = open;
      open = 0;
      number++;
      return unused;
    },
    async leave() {
      try {
        if (!subscription.isClosed()) await subscription.drain();
      } catch {
        // Closed meanwhile: nothing can come.
      }
    },
  };
}
