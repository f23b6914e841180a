import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import type { ExecutionService } from "@longhaul/proto/execution_service";
import { type CallPermit, type CallRequest, type CallWait, NodeFailure } from "@longhaul/workflow";
import { type Hold, holdMessage, stopHold } from "./hold.ts";
import { patiently } from "./patiently.ts";
import { sleep } from "./sleep.ts";

type CallClient = Pick<Client<typeof ExecutionService>, "acquireCall" | "releaseCall">;

const releaseTimeoutMs = 5_000;
/** Between tries to give a place back; behind the last one it lapses by itself. */
const releasePausesMs = [200, 1_000, 5_000, 15_000];

const unbounded: CallPermit = { kind: "permit", leaseMs: Number.POSITIVE_INFINITY, release: () => undefined };
const never = new AbortController().signal;

/** Asks the scheduler for a place among the calls of a connection; one that bounds nothing is not asked about. */
export async function acquireCall(
  client: CallClient,
  executor: string,
  hold: Hold,
  { connection, estimatedTokens, callId }: CallRequest,
): Promise<CallPermit | CallWait> {
  const { name, concurrency, requestsPerMinute, tokensPerMinute } = connection;
  if (concurrency === 0 && requestsPerMinute === 0 && tokensPerMinute === 0) return unbounded;
  const request = {
    hold: holdMessage(hold),
    executor,
    connection: name,
    callId,
    estimatedTokens: BigInt(Math.round(estimatedTokens)),
  };
  try {
    const { answer } = await patiently(hold, () => client.acquireCall(request));
    if (answer.case === "delay") {
      const { wait, reason } = answer.value;
      return { kind: "wait", waitMs: wait === undefined ? 0 : durationMs(wait), reason };
    }
    const lease = answer.case === "place" ? answer.value.lease : undefined;
    return {
      kind: "permit",
      leaseMs: lease === undefined ? 0 : durationMs(lease),
      release: (tokens) => void release(client, hold, { connection: name, callId, tokens }),
    };
  } catch (why) {
    if (hold.abort.signal.aborted) void release(client, hold, { connection: name, callId, tokens: 0 });
    if (!(why instanceof LonghaulError)) throw why;
    if (why.code === "precondition_failed") stopHold(hold, "lost");
    if (why.code !== "not_found") throw why;
    throw new NodeFailure("connection_not_found", `connection "${name}" was deleted`, {
      retryable: false,
      sent: "no",
      cause: why,
    });
  }
}

/** Goes on although the task was stopped: a place that is free helps others. */
async function release(
  client: CallClient,
  hold: Hold,
  { connection, callId, tokens }: { readonly connection: string; readonly callId: string; readonly tokens: number | undefined },
): Promise<void> {
  const request = {
    hold: holdMessage(hold),
    connection,
    callId,
    ...(tokens === undefined ? {} : { tokens: BigInt(Math.round(tokens)) }),
  };
  for (const pauseMs of [...releasePausesMs, undefined]) {
    try {
      await client.releaseCall(request, { timeoutMs: releaseTimeoutMs });
      return;
    } catch {
      if (pauseMs === undefined) return;
      await sleep(pauseMs, never).catch(() => undefined);
    }
  }
}
