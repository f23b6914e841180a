import { setTimeout as pause } from "node:timers/promises";
import { LonghaulError, type Ticket, type TicketFlow, type TicketVerdict } from "@longhaul/core";
import type { Msg } from "@nats-io/transport-node";
import type { NatsLink } from "./connect-nats.ts";
import type { NatsLog } from "./nats-log.ts";
import { type PullEnd, type PullLane, pullLane } from "./pull-lane.ts";
import type { TicketStream } from "./ticket-stream.ts";
import { decodeTicket } from "./ticket-wire.ts";

export interface TicketConsumerOptions {
  readonly stream: string;
  readonly consumer: string;
  readonly inboxPrefix: string;
  readonly rejectedDelayMs: number;
  readonly pullMs: number;
  readonly heartbeatMs: number;
  readonly log: NatsLog;
}

interface Delivered {
  readonly ticket: Ticket;
  /** Subject that takes the verdict. */
  readonly reply: string;
}

/** Pulls under way per flow: enough that newly granted credit seldom waits, few enough that an idle flow costs next to nothing. */
const laneCount = 3;
/** So few credits wait while the server may still send as many: every ticket that comes looks again. */
const smallPull = 32;

/**
 * Asks for exactly what is granted. Every credit is at any time in one place: here (`credit`), with a lane whose pull the server
 * holds, or used up by a ticket. A lane gives back what its pull did not use, however the pull ends.
 */
export function consumeTickets(
  link: NatsLink,
  stream: TicketStream,
  options: TicketConsumerOptions,
  take: (tickets: readonly Ticket[]) => Promise<readonly TicketVerdict[]>,
): TicketFlow {
  const { log, rejectedDelayMs, heartbeatMs } = options;
  const underWay = new Set<Promise<void>>();
  let lanes: PullLane[] = [];
  let leaving: Promise<void>[] = [];
  let credit = 0;
  let group: Delivered[] = [];
  let pullDue = false;
  let stopped = false;
  /** Pulls that ended badly since the server was last heard from. */
  let failures = 0;
  let waiting = false;

  function pullSoon(): void {
    if (pullDue || stopped) return;
    pullDue = true;
    queueMicrotask(() => {
      pullDue = false;
      pull();
    });
  }

  function pull(): void {
    if (stopped || waiting || credit === 0 || !link.ready()) return;
    if (credit < smallPull && lanes.reduce((open, lane) => open + lane.open(), 0) >= smallPull) return;
    const free = lanes.find((lane) => lane.idle());
    if (!free) return;
    const count = credit;
    credit = 0;
    try {
      free.pull(count);
    } catch (err) {
      // Only a connection that is just closing throws; the next one pulls.
      credit += count;
      log.warn({ err }, "tickets could not be asked for");
    }
  }

  function onMessage(msg: Msg, expected: boolean): void {
    failures = 0;
    const { reply } = msg;
    if (!reply) return;
    const ticket = stopped ? undefined : decodeTicket(msg.subject, msg.string());
    if (stopped || (!expected && credit === 0)) {
      respond(reply, "-NAK");
      return;
    }
    if (!expected) credit--;
    if (!ticket) {
      log.warn({ subject: msg.subject }, "removed a message from the stream of tickets that is none");
      respond(reply, "+TERM");
      credit++;
      pullSoon();
      return;
    }
    group.push({ ticket, reply });
    if (group.length === 1) setImmediate(deliver);
    // The lane may have got all it asked for; what was granted meanwhile is asked for next.
    if (credit > 0) pullSoon();
  }

  function deliver(): void {
    const delivered = group;
    group = [];
    if (delivered.length === 0) return;
    const answered = answer(delivered).finally(() => underWay.delete(answered));
    underWay.add(answered);
  }

  async function answer(delivered: readonly Delivered[]): Promise<void> {
    let verdicts: readonly TicketVerdict[] = [];
    try {
      verdicts = await take(delivered.map((one) => one.ticket));
    } catch (err) {
      log.warn({ err, tickets: delivered.length }, "tickets go back, their taker failed");
    }
    delivered.forEach(({ reply }, at) => {
      const verdict = verdicts[at];
      if (verdict?.kind === "done") respond(reply, "");
      else respond(reply, `-NAK {"delay": ${Math.round((verdict?.delayMs ?? rejectedDelayMs) * 1e6)}}`);
    });
  }

  /** Not confirmed: a verdict that gets lost brings the ticket back after the acknowledgement wait, and its claim is refused. */
  function respond(reply: string, body: string): void {
    try {
      link.connection().publish(reply, body);
    } catch {
      // Disconnected: as above.
    }
  }

  function onEnd(end: PullEnd): void {
    credit += end.unused;
    if (stopped) return;
    if (end.kind === "expired") {
      failures = 0;
      pullSoon();
      return;
    }
    if (end.kind === "silent") renewLanes();
    if (waiting) return;
    const waitMs = failures === 0 ? 0 : Math.min(2_000, 50 * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
    failures++;
    log.warn({ why: end.why }, "a request for tickets ended early; asking again");
    waiting = true;
    void recover(end.kind === "refused", waitMs).finally(() => {
      waiting = false;
      pullSoon();
    });
  }

  async function recover(refused: boolean, waitMs: number): Promise<void> {
    if (waitMs > 0) await pause(waitMs, undefined, { ref: false });
    // Refusals such as a change of leader say nothing about the stream; all others may mean that it is gone.
    if (!refused || failures > 1) await stream.mend();
  }

  /** New reply subjects: what the server still holds for the old ones has no listener any more and ends there. */
  function renewLanes(): void {
    const old = lanes;
    lanes = [];
    if (!link.ready() || stopped) {
      for (const lane of old) credit += lane.abandon();
      return;
    }
    const connection = link.connection();
    lanes = Array.from({ length: laneCount }, () => pullLane(connection, options, onMessage, onEnd));
    for (const lane of old) {
      credit += lane.abandon();
      leaving.push(lane.leave());
    }
    leaving = leaving.slice(-2 * laneCount);
  }

  const stopUp = link.onUp(() => {
    renewLanes();
    // Asking before the consumer is known to be there would only be refused.
    waiting = true;
    void stream.mend().finally(() => {
      waiting = false;
      pullSoon();
    });
  });
  const stopDown = link.onDown(() => {
    for (const lane of lanes) credit += lane.abandon();
  });

  let lastTick = performance.now();
  const clock = setInterval(() => {
    const now = performance.now();
    // A tick that comes late says that this process stood still, not that the server is silent.
    const late = now - lastTick > 1.5 * heartbeatMs;
    lastTick = now;
    if (late || !link.ready()) return;
    for (const lane of [...lanes]) lane.checkSilence(now - 2.5 * heartbeatMs);
    // A safety net under the bookkeeping: credit at rest beside a free lane is asked for within a second.
    pullSoon();
  }, heartbeatMs);
  clock.unref();

  return {
    grant(count) {
      if (!Number.isInteger(count) || count < 0) {
        throw new LonghaulError("invalid_argument", `tickets are granted in whole numbers, not ${count}`);
      }
      if (stopped) return;
      credit += count;
      pullSoon();
    },
    async stop() {
      if (!stopped) {
        stopped = true;
        clearInterval(clock);
        stopUp();
        stopDown();
        credit = 0;
        for (const { reply } of group.splice(0)) respond(reply, "-NAK");
        // Until the server has heard that nobody listens, tickets may still arrive; they go back at once.
        for (const lane of lanes) leaving.push(lane.leave());
        lanes = [];
      }
      await Promise.all(underWay);
      if (!link.ready()) return;
      const sent = Promise.all([...leaving, link.connection().flush()]).catch(() => {});
      await Promise.race([sent, pause(1_000, undefined, { ref: false })]);
    },
  };
}
