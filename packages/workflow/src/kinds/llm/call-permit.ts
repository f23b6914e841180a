import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "../connection.ts";
import { type CallPermit, type NodeContext, NodeFailure } from "../kind.ts";

/** How long a node waits for its turn while it holds an executor. */
const longestHereMs = 10_000;
const leastPauseMs = 20;

export interface HeldPermit extends CallPermit {
  /** By the clock that only rises: when the place was asked for, from which its lease counts. */
  readonly askedMs: number;
}

/**
 * Waits for a place among the calls that the connection allows; the node's log says which limit it waits for. Where that takes longer, throws
 * NodeFailure `llm_rate_limited` as not tried, so that the task comes back later and holds no executor meanwhile.
 */
export async function callPermit(
  { services, signal, log }: Pick<NodeContext, "services" | "signal" | "log">,
  connection: Connection,
  estimatedTokens: number,
): Promise<HeldPermit> {
  const request = { connection, estimatedTokens, callId: randomUUID() };
  const untilMs = performance.now() + longestHereMs;
  let said = "";
  for (;;) {
    const askedMs = performance.now();
    const answer = await services.acquireCall(request);
    if (answer.kind === "permit") {
      if (signal.aborted) answer.release(0);
      signal.throwIfAborted();
      return { ...answer, askedMs };
    }
    signal.throwIfAborted();
    const { reason } = answer;
    if (reason !== said) log(`waiting: ${reason}`);
    said = reason;
    const waitMs = Math.max(leastPauseMs, answer.waitMs);
    if (performance.now() + waitMs > untilMs)
      throw new NodeFailure("llm_rate_limited", `the call waits for its turn: ${reason}`, {
        retryable: true,
        notTried: true,
        // Longer than a node is held for, so that the executor is free.
        retryAfterMs: Math.max(waitMs, longestHereMs + 1000),
        sent: "no",
        details: { connection: connection.name },
      });
    await pause(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
