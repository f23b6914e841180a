import type { Failure, Json } from "@longhaul/core";
import type { Arrival, Payload } from "@longhaul/proto/execution_service";
import { failureOf } from "@longhaul/shared";
import type { ArrivalFact } from "@longhaul/workflow";

/** What arrived for the nodes of a held task, as far as the scheduler has told. */
export interface Inbox {
  /** Takes what an answer carried, the oldest first; what is known already is passed over. */
  take(arrivals: readonly Arrival[]): void;
  /** Calls back with what comes from now on, until the function it answers is called. */
  listen(listener: (arrivals: readonly ArrivalFact[]) => void): () => void;
  /** What has come so far; resolves once its values are read. Rejects when one could not be. */
  all(): Promise<readonly ArrivalFact[]>;
}

/** `read` fetches a value that did not travel along; what fails is asked for again when the next answer carries it. */
export function inboxOf(read: (payload: Payload) => Promise<Json>): Inbox {
  const facts: ArrivalFact[] = [];
  const listeners = new Set<(arrivals: readonly ArrivalFact[]) => void>();
  let known = 0;
  let fault: { readonly why: unknown } | undefined;
  let tail: Promise<void> = Promise.resolve();

  async function add(arrivals: readonly Arrival[]): Promise<void> {
    const fresh = arrivals.filter(({ seq }) => Number(seq) > known);
    if (fresh.length === 0) return;
    try {
      const made = await Promise.all(fresh.map((arrival) => factOf(arrival, read)));
      known = Math.max(...made.map(({ seq }) => seq));
      facts.push(...made);
      fault = undefined;
      for (const listener of listeners) listener(made);
    } catch (why) {
      fault = { why };
    }
  }

  return {
    take(arrivals) {
      // One after the other, so that they come in their order.
      if (arrivals.length > 0) tail = tail.then(() => add(arrivals));
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async all() {
      await tail;
      if (fault !== undefined) throw fault.why;
      return [...facts];
    },
  };
}

async function factOf(arrival: Arrival, read: (payload: Payload) => Promise<Json>): Promise<ArrivalFact> {
  const { node, by, payload, error } = arrival;
  const outcome: { readonly payload: Json } | { readonly error: Failure } =
    error === undefined ? { payload: payload === undefined ? null : await read(payload) } : { error: failureOf(error) };
  return { seq: Number(arrival.seq), node, by, ...outcome };
}
