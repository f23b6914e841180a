import type { NodeWait, Wake } from "../kinds/kind.ts";
import type { ArrivalFact, NodeWaitFact } from "./task-run.ts";

/** Something that waits: a node, or the task's budget. */
export interface Waiter {
  readonly path: string;
  readonly wait: NodeWait;
  readonly sinceMs: number;
  /** When it goes on at the latest; Infinity when only an arrival lets it. */
  readonly untilMs: number;
  /** The graph that it belongs to, for when that ends. */
  readonly owner: object;
  /** Goes on, once. `seq` is the arrival that is the reason; its effect is to be recorded together with its consumption. */
  wake(wake: Wake, seq: number | undefined): void;
}

/** How many waits a task lists. */
const maxListed = 100;

/** What waits in a running task, and what has arrived for it or for nodes that do not wait yet. */
export class Waits {
  /** Sequence number of the last arrival that was looked at. */
  seen = 0;
  private readonly waiters = new Map<string, Waiter>();
  private readonly arrived = new Map<string, ArrivalFact[]>();
  // Never later than the soonest time of a waiter; may be too early after one has gone.
  private soonest = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.waiters.size;
  }

  /** A time before which no waiter is due. */
  get soonestMs(): number {
    return this.soonest;
  }

  /** Lets it wait, or go on at once where what it waits for is there. */
  add(waiter: Waiter, nowMs: number): void {
    const [arrival, ...later] = this.arrived.get(waiter.path) ?? [];
    if (arrival !== undefined) {
      if (later.length === 0) this.arrived.delete(waiter.path);
      else this.arrived.set(waiter.path, later);
      waiter.wake(wakeOf(arrival), arrival.seq);
    } else if (waiter.untilMs <= nowMs) waiter.wake({ kind: "time" }, undefined);
    else {
      this.waiters.set(waiter.path, waiter);
      this.soonest = Math.min(this.soonest, waiter.untilMs);
    }
  }

  /** Takes what arrived; what was seen before is passed over. */
  arrive(arrivals: readonly ArrivalFact[]): void {
    for (const arrival of arrivals) {
      if (arrival.seq <= this.seen) continue;
      this.seen = arrival.seq;
      const waiter = this.waiters.get(arrival.node);
      if (waiter === undefined) this.keep(arrival);
      else {
        this.waiters.delete(arrival.node);
        waiter.wake(wakeOf(arrival), arrival.seq);
      }
    }
  }

  /** Lets everything go on whose time has come; true when there was any. */
  wakeDue(nowMs: number): boolean {
    if (this.soonest > nowMs) return false;
    const due = [...this.waiters.values()].filter(({ untilMs }) => untilMs <= nowMs);
    for (const { path } of due) this.waiters.delete(path);
    this.soonest = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.waiters.values()) this.soonest = Math.min(this.soonest, untilMs);
    for (const waiter of due) waiter.wake({ kind: "time" }, undefined);
    return due.length > 0;
  }

  /** Forgets the waiters of a graph that has ended. */
  forget(owner: object): void {
    for (const waiter of this.waiters.values()) if (waiter.owner === owner) this.waiters.delete(waiter.path);
  }

  /** Removes what arrived for nodes that can never wait for it, and answers its sequence numbers. */
  dropArrived(isOver: (path: string) => boolean): readonly number[] {
    const dropped: number[] = [];
    for (const [path, arrivals] of this.arrived) {
      if (!isOver(path)) continue;
      this.arrived.delete(path);
      dropped.push(...arrivals.map(({ seq }) => seq));
    }
    return dropped;
  }

  /** What waits, as the task says it: the soonest first. */
  list(): readonly NodeWaitFact[] {
    return soonestFirst(
      Array.from(
        this.waiters.values(),
        ({ path, wait, sinceMs, untilMs }): NodeWaitFact => ({
          kind: wait.kind,
          node: path,
          sinceMs,
          reason: wait.reason,
          ...(wait.name === undefined ? {} : { name: wait.name }),
          ...(Number.isFinite(untilMs) ? { untilMs } : {}),
        }),
      ),
    );
  }

  private keep(arrival: ArrivalFact): void {
    const others = this.arrived.get(arrival.node);
    if (others === undefined) this.arrived.set(arrival.node, [arrival]);
    else others.push(arrival);
  }
}

/** The first hundred of the waits, the soonest first. */
export function soonestFirst(waits: readonly NodeWaitFact[]): readonly NodeWaitFact[] {
  const until = ({ untilMs }: NodeWaitFact) => untilMs ?? Number.MAX_SAFE_INTEGER;
  return [...waits].sort((a, b) => until(a) - until(b)).slice(0, maxListed);
}

function wakeOf({ payload, error, by }: ArrivalFact): Wake {
  return error === undefined ? { kind: "arrival", payload: payload ?? null, by } : { kind: "failed", error };
}
