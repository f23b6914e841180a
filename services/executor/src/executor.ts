import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import {
  executorSubject,
  gatherCalls,
  type Json,
  type Live,
  type LiveSubscription,
  type Outbound,
  type Ticket,
  type TicketFlow,
  type TicketInlet,
  type TicketVerdict,
} from "@longhaul/core";
import {
  type ClaimResult,
  type ExecutionService,
  type Hold as HoldMessage,
  type HoldResult,
  HoldSchema,
  type TaskReport,
  Verdict,
} from "@longhaul/proto/execution_service";
import { type Logger, newMessage, type Part, part } from "@longhaul/shared";
import { definitions } from "./run/definitions.ts";
import { type Hold, holdMessage, stopHold } from "./run/hold.ts";
import { inboxOf } from "./run/inbox.ts";
import { projectValues } from "./run/project-values.ts";
import { nodeBytes, outcomeBytes } from "./run/report-message.ts";
import { isPassing } from "./run/reporter.ts";
import { runTask } from "./run/run-task.ts";
import { readValue } from "./run/stored-runs.ts";

export interface ExecutorParts {
  readonly client: Client<typeof ExecutionService>;
  readonly inlet: TicketInlet;
  readonly live: Live;
  readonly outbound: Outbound;
  readonly log: Logger;
  /** Unique name of this process. */
  readonly name: string;
  /** Tasks side by side. */
  readonly concurrency: number;
  readonly maxValueBytes: number;
  readonly now?: () => number;
  readonly monotonic?: () => number;
}

export interface Executor extends Part {
  /** Tasks held now. */
  held(): number;
}

/** How long a task that was lost before has the process to itself. See docs/decisions. */
const aloneMs = 1_000;
/** The longest that such a task waits for the others to end. */
const quietWaitMs = 30_000;
/** A ticket that comes while the process is kept quiet, or that could not be claimed, comes back after this. */
const comeBackMs = 250;
const claimAgainMs = 1_000;
const callTimeoutMs = 10_000;
/** How often leases are looked at; one that would end before the next look counts as ended. */
const beatMs = 500;
/** The longest that a drain waits for last reports before it gives the tasks back. */
const lastReportMs = 3_000;

/** Takes tickets, runs what it can claim, and keeps its leases alive. Everything it knows may be lost with the process. */
export function executor(deps: ExecutorParts): Executor {
  const { client, log, name } = deps;
  const now = deps.now ?? Date.now;
  const monotonic = deps.monotonic ?? (() => performance.now());
  const holds = new Map<string, Hold>();
  const runs = new Map<Hold, Promise<void>>();
  /** Holds whose credit is not given back yet. */
  const counted = new Set<Hold>();
  const ends = new Set<() => void>();
  let flow: TicketFlow | undefined;
  let revocations: LiveSubscription | undefined;
  let heartbeats: NodeJS.Timeout | undefined;
  let freed = 0;
  let isDraining = false;
  /** While set, tickets other than the one that goes alone are turned away. */
  let quiet = 0;
  let aloneTail: Promise<void> = Promise.resolve();

  const claim = gatherCalls<
    { readonly ticket: Ticket; readonly message: HoldMessage },
    ClaimResult & { readonly sentAt: number }
  >(
    async (items) => {
      const sentAt = monotonic();
      const { results } = await client.claim(
        { executor: name, tickets: items.map(({ message }) => message) },
        { timeoutMs: callTimeoutMs },
      );
      return results.map((result) => ({ sentAt, ...result }));
    },
    { minWhileBusy: 32 },
  );
  const sendTogether = gatherCalls<TaskReport, HoldResult | Error>(sendGroup, { sizeOf: reportBytes, minWhileBusy: 32 });
  const run = {
    client,
    name,
    definitions: definitions(client),
    values: projectValues(client, name, monotonic),
    outbound: deps.outbound,
    live: deps.live,
    log,
    send: async (report: TaskReport) => {
      const result = await sendTogether(report);
      if (result instanceof Error) throw result;
      return result;
    },
    now,
    monotonic,
    maxValueBytes: deps.maxValueBytes,
  };

  async function sendGroup(reports: TaskReport[]): Promise<readonly (HoldResult | Error)[]> {
    try {
      return (await client.report({ executor: name, reports }, { timeoutMs: callTimeoutMs })).results;
    } catch (why) {
      if (reports.length === 1 || isPassing(why)) throw why;
      // One of them spoils the group: alone, it spoils nothing but itself.
      const alone = await Promise.all(
        reports.map((report) =>
          sendGroup([report]).catch((fault: unknown) => [fault instanceof Error ? fault : new Error(String(fault))]),
        ),
      );
      return alone.flat();
    }
  }

  function giveBack(count: number): void {
    if (freed === 0) {
      setImmediate(() => {
        const granted = freed;
        freed = 0;
        if (!isDraining) flow?.grant(granted);
      });
    }
    freed += count;
  }

  function start(result: ClaimResult & { readonly sentAt: number }): void {
    const task = result.claimed;
    if (task === undefined) return;
    const leaseMs = task.lease === undefined ? 0 : durationMs(task.lease);
    const hold: Hold = {
      task,
      abort: new AbortController(),
      inbox: inboxOf((payload) => readValue(client, hold, payload)),
      clockAheadMs: task.time === undefined ? 0 : aheadOf(timestampMs(task.time), now(), monotonic() - result.sentAt),
      leaseUntil: result.sentAt + leaseMs,
      provenAt: result.sentAt,
      stopped: undefined,
    };
    hold.inbox.take(task.arrivals);
    const earlier = holds.get(task.taskId);
    if (earlier !== undefined) stopHold(earlier, "lost");
    holds.set(task.taskId, hold);
    counted.add(hold);
    runs.set(
      hold,
      runTask(run, hold).then(() => end(hold)),
    );
  }

  function end(hold: Hold): void {
    runs.delete(hold);
    // A drained task is still ours until it is given back.
    if (hold.stopped !== "draining") forget(hold);
  }

  function forget(hold: Hold): void {
    if (!counted.delete(hold)) return;
    if (holds.get(hold.task.taskId) === hold) holds.delete(hold.task.taskId);
    giveBack(1);
    for (const told of ends) told();
  }

  async function takeOne(ticket: Ticket): Promise<TicketVerdict> {
    const message = newMessage(HoldSchema, { taskId: ticket.taskId, attempt: ticket.attempt, project: ticket.project });
    try {
      const result = await claim({ ticket, message });
      const { claimed } = result;
      // A ticket that came twice is answered with the hold that is there already.
      if (claimed === undefined || holds.get(claimed.taskId)?.task.attempt === claimed.attempt) giveBack(1);
      else start(result);
      return { kind: "done" };
    } catch (why) {
      giveBack(1);
      log.warn({ taskId: ticket.taskId, err: why }, "a ticket could not be claimed; it comes back");
      return { kind: "retry", delayMs: claimAgainMs };
    }
  }

  /** Runs a task that was lost before: when the others have ended, and with nobody beside it at first. */
  function takeAlone(ticket: Ticket): Promise<TicketVerdict> {
    quiet++;
    const turn = aloneTail.then(async () => {
      await untilNoneHeld(quietWaitMs);
      return isDraining ? turnAway() : takeOne(ticket);
    });
    aloneTail = turn
      .then(() => untilNoneHeld(aloneMs))
      .then(() => {
        quiet--;
      });
    return turn;
  }

  /** Resolves when no task is held, or after `ms`, or when a drain begins. */
  function untilNoneHeld(ms: number): Promise<void> {
    if (counted.size === 0 || isDraining) return Promise.resolve();
    return new Promise((resolve) => {
      const check = (): void => {
        if (counted.size > 0 && !isDraining) return;
        ends.delete(check);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        ends.delete(check);
        resolve();
      }, ms);
      ends.add(check);
    });
  }

  /** Resolves when no task is held, or the deadline aborts. */
  function untilIdle(deadline: AbortSignal): Promise<void> {
    if (counted.size === 0 || deadline.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const check = (): void => {
        if (counted.size > 0 && !deadline.aborted) return;
        ends.delete(check);
        deadline.removeEventListener("abort", check);
        resolve();
      };
      deadline.addEventListener("abort", check);
      ends.add(check);
    });
  }

  function turnAway(): TicketVerdict {
    giveBack(1);
    return { kind: "retry", delayMs: comeBackMs };
  }

  function beginDrain(): void {
    isDraining = true;
    // Tickets that wait for their turn go back to others.
    for (const told of ends) told();
  }

  async function take(tickets: readonly Ticket[]): Promise<readonly TicketVerdict[]> {
    return Promise.all(
      tickets.map((ticket) => {
        if (ticket.alone && !isDraining) return takeAlone(ticket);
        return quiet > 0 || isDraining ? turnAway() : takeOne(ticket);
      }),
    );
  }

  /** Apart from the heartbeats, because one that hangs must not keep a lease that ends from being noticed. */
  function endLeases(): void {
    const at = monotonic();
    for (const hold of holds.values()) {
      if (hold.stopped !== undefined || hold.leaseUntil - beatMs > at) continue;
      // Another executor may hold it soon: whatever it still does would be done twice.
      log.warn({ taskId: hold.task.taskId }, "a lease ended before it could be extended");
      stopHold(hold, "lease-ended");
    }
  }

  async function beat(): Promise<void> {
    const at = monotonic();
    const due = [...holds.values()].filter((hold) => hold.stopped === undefined && at - hold.provenAt >= leaseOf(hold) / 3);
    for (let i = 0; i < due.length; i += 256) await beatGroup(due.slice(i, i + 256));
  }

  async function beatGroup(group: readonly Hold[]): Promise<readonly undefined[]> {
    const sentAt = monotonic();
    const { results } = await client.heartbeat({ executor: name, holds: group.map(holdMessage) }, { timeoutMs: callTimeoutMs });
    group.forEach((hold, at) => {
      const result = results[at];
      if (result?.verdict === Verdict.CONTINUE) {
        hold.provenAt = sentAt;
        hold.leaseUntil = Math.max(hold.leaseUntil, sentAt + leaseOf(hold));
        hold.inbox.take(result.arrivals);
      } else stopHold(hold, result?.verdict === Verdict.CANCEL ? "cancelled" : "lost");
    });
    return group.map(() => undefined);
  }

  /** Something arrived for a task: its next heartbeat, which answers what, is due at once. */
  const fetchArrivals = gatherCalls<Hold, undefined>(beatGroup, { minWhileBusy: 1 });

  let beating = false;
  function beatQuietly(): void {
    if (beating) return;
    beating = true;
    beat()
      .catch((why: unknown) => log.warn({ err: why }, "heartbeat not answered; trying again"))
      .finally(() => {
        beating = false;
      });
  }

  /** Hears of its own tasks: that one was stopped, or that something arrived for one of its nodes. */
  function hear(message: Json): void {
    if (message === null || typeof message !== "object" || !("taskId" in message) || !("attempt" in message)) return;
    const { taskId, attempt, arrival } = message as { readonly taskId: Json; readonly attempt: Json; readonly arrival?: Json };
    const hold = typeof taskId === "string" ? holds.get(taskId) : undefined;
    if (hold === undefined || hold.task.attempt !== attempt || hold.stopped !== undefined) return;
    if (arrival !== true) stopHold(hold, "cancelled");
    else
      fetchArrivals(hold).catch((why: unknown) =>
        log.warn({ taskId: hold.task.taskId, err: why }, "what arrived was not fetched; the next heartbeat brings it"),
      );
  }

  async function release(): Promise<void> {
    const left = [...holds.values()];
    for (const hold of left) stopHold(hold, "draining");
    if (left.length === 0) return;
    // Each run reports what it has first, so that the next attempt need not do it again.
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, lastReportMs);
    });
    await Promise.race([Promise.all(runs.values()), patience]);
    clearTimeout(timer);
    try {
      await client.release({ executor: name, holds: left.map(holdMessage) }, { timeoutMs: callTimeoutMs });
      log.info({ tasks: left.length }, "tasks given back");
    } catch (why) {
      log.warn({ tasks: left.length, err: why }, "tasks not given back; their leases will end");
    }
    for (const hold of left) forget(hold);
  }

  return {
    ...part("executor", {
      start: async () => {
        revocations = deps.live.subscribe(executorSubject(name), hear);
        await revocations.ready.catch((why: unknown) =>
          log.warn({ err: why }, "revocations do not arrive yet; heartbeats tell as well"),
        );
        flow = deps.inlet.consume(take);
        flow.grant(deps.concurrency);
        heartbeats = setInterval(() => {
          endLeases();
          beatQuietly();
        }, beatMs);
      },
      drain: async (deadline) => {
        beginDrain();
        await flow?.stop();
        flow = undefined;
        await untilIdle(deadline);
      },
      stop: async () => {
        beginDrain();
        await flow?.stop();
        await release();
        clearInterval(heartbeats);
        revocations?.close();
      },
    }),
    held: () => counted.size,
  };
}

/**
 * How far another clock is surely ahead of ours (negative: behind), by a time that it said in a call of `tookMs` that was answered at `at`.
 * At the answer our corrected clock is never before the time that was said.
 */
function aheadOf(said: number, at: number, tookMs: number): number {
  if (said > at) return said - at;
  return Math.min(0, said - (at - tookMs));
}

function leaseOf(hold: Hold): number {
  return hold.task.lease === undefined ? 0 : durationMs(hold.task.lease);
}

function reportBytes({ nodes, outcome }: TaskReport): number {
  return nodes.reduce((bytes, node) => bytes + nodeBytes(node), 256 + outcomeBytes(outcome));
}
