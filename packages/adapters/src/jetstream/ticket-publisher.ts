import { LonghaulError, type PublishResult } from "@longhaul/core";
import { createInbox, type Msg, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import type { NatsLink } from "./connect-nats.ts";

export interface Outgoing {
  readonly subject: string;
  readonly body: string;
}

/** `gone`: no stream listens to the subject. */
export type OutgoingResult = PublishResult | "gone";

export interface TicketPublisher {
  /** Sends in order, all at once. Rejects with `unavailable` when the connection is lost or an answer stays away. */
  send(tickets: readonly Outgoing[]): Promise<OutgoingResult[]>;
  close(): void;
}

interface Group {
  readonly results: OutgoingResult[];
  readonly sentAt: number;
  left: number;
  fault: LonghaulError | undefined;
  readonly resolve: (results: OutgoingResult[]) => void;
  readonly reject: (why: LonghaulError) => void;
}

const errorInitial = "e".charCodeAt(0);

/**
 * Publishes with one reply subject for everything instead of a request, a promise and a timer per message: a group is written in one
 * turn, and the answers are told apart by the last two tokens of their subject (group, position).
 */
export function ticketPublisher(
  link: NatsLink,
  { inboxPrefix, answerMs }: { inboxPrefix: string; answerMs: number },
): TicketPublisher {
  const groups = new Map<number, Group>();
  let inbox = "";
  let replies: Subscription | undefined;
  let owner: NatsConnection | undefined;
  let lastGroup = 0;

  function listen(connection: NatsConnection): void {
    if (owner === connection && replies && !replies.isClosed()) return;
    owner = connection;
    inbox = createInbox(inboxPrefix);
    replies = connection.subscribe(`${inbox}.*.*`, {
      callback: (err, msg) => {
        // Nothing may be thrown here: it would end the connection's reader.
        if (err) failAll(unavailable("the broker does not let this process listen for answers", err));
        else settle(msg);
      },
    });
  }

  function settle(msg: Msg): void {
    const { subject } = msg;
    const point = subject.lastIndexOf(".");
    const id = Number(subject.slice(inbox.length + 1, point));
    const group = groups.get(id);
    const at = Number(subject.slice(point + 1));
    if (!group || !(at >= 0 && at < group.results.length)) return;
    const { data } = msg;
    // A success starts {"stream":, a refusal {"error":, and an empty answer means that nobody listens.
    if (data.length === 0) group.results[at] = "gone";
    else if (data[2] === errorInitial) refuse(group, at, msg);
    if (--group.left > 0) return;
    groups.delete(id);
    if (group.fault) group.reject(group.fault);
    else group.resolve(group.results);
  }

  function refuse(group: Group, at: number, msg: Msg): void {
    const { code, description } = readRefusal(msg);
    // 10077 says that the stream would not store it; only the text says which of its bounds was met.
    if (code === 10_077 && description.includes("per subject")) group.results[at] = "pending";
    else if (code === 10_077) group.results[at] = "full";
    else group.fault = unavailable(`the broker refused a ticket (${code})`, new Error(description));
  }

  function failAll(why: LonghaulError): void {
    const failed = [...groups.values()];
    groups.clear();
    for (const group of failed) group.reject(why);
  }

  // One slow clock for all groups; the map keeps them in the order in which they were sent.
  const clock = setInterval(
    () => {
      const latest = performance.now() - answerMs;
      for (const [id, group] of groups) {
        if (group.sentAt > latest) return;
        groups.delete(id);
        group.reject(unavailable("the broker did not answer in time"));
      }
    },
    Math.max(50, answerMs / 4),
  );
  clock.unref();
  const stopDown = link.onDown(() => failAll(unavailable("the connection to the broker was lost")));

  return {
    send: (tickets) =>
      new Promise((resolve, reject) => {
        if (tickets.length === 0) return resolve([]);
        const connection = link.connection();
        listen(connection);
        const results = new Array<OutgoingResult>(tickets.length).fill("published");
        const id = ++lastGroup;
        groups.set(id, { results, sentAt: performance.now(), left: tickets.length, fault: undefined, resolve, reject });
        try {
          let at = 0;
          for (const { subject, body } of tickets) connection.publish(subject, body, { reply: `${inbox}.${id}.${at++}` });
        } catch (cause) {
          groups.delete(id);
          reject(unavailable("a ticket could not be sent", cause));
        }
      }),
    close() {
      clearInterval(clock);
      stopDown();
      replies?.unsubscribe();
      failAll(unavailable("the ticket outlet is closed"));
    },
  };
}

function readRefusal(msg: Msg): { readonly code: number; readonly description: string } {
  try {
    const { error } = msg.json<{ error?: { err_code?: number; description?: string } }>();
    return { code: error?.err_code ?? 0, description: error?.description ?? "" };
  } catch {
    return { code: 0, description: "an answer that is no JSON" };
  }
}

function unavailable(message: string, cause?: unknown): LonghaulError {
  return new LonghaulError("unavailable", message, { cause, retryAfterMs: 1_000 });
}
