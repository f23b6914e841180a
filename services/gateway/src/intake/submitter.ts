import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@connectrpc/connect";
import { type Defer, type ErrorCode, errorCodes, gatherCalls, LonghaulError } from "@longhaul/core";
import type { IntakeService, SubmitItem, SubmitRefusal, SubmitResult } from "@longhaul/proto/intake_service";
import type { Task } from "@longhaul/proto/task";
import { fromConnectError, toConnectError } from "@longhaul/shared";

/** What became of a submit that was accepted. */
export interface Submitted {
  /** As it stands; a new one comes without `input`, which the caller has. */
  readonly task: Task;
  /** True when an earlier submit with the same key made it. */
  readonly replayed: boolean;
}

/** Hands one submit to the scheduler; rejects with the LonghaulError of its refusal, or with `unavailable`. */
export type Submit = (item: SubmitItem, signal?: AbortSignal) => Promise<Submitted>;

export interface SubmitterOptions {
  /** Bytes of submits waiting and under way beyond which callers get `unavailable`. */
  readonly maxHeldBytes: number;
  /** How long a group is sent again while the scheduler is not there; default 2 s. */
  readonly persistMs?: number;
  /** Time of one call; default 10 s. */
  readonly timeoutMs?: number;
  /** Resolves after so many milliseconds. */
  readonly pause?: (ms: number) => Promise<unknown>;
  /** Milliseconds, rising. */
  readonly now?: () => number;
  readonly defer?: Defer;
}

/**
 * Submits in groups: an idle gateway sends at once, a busy one few large calls. Every item carries an id chosen here (or derived from its
 * key), so a call that came to nothing for want of a scheduler is simply made again, for a while.
 */
export function submitter(intake: Client<typeof IntakeService>, options: SubmitterOptions): Submit {
  const { maxHeldBytes, persistMs = 2_000, timeoutMs = 10_000, now = () => performance.now(), defer } = options;
  const wait = options.pause ?? ((ms: number) => pause(ms, undefined, { ref: false }));

  async function sendAll(items: SubmitItem[]): Promise<readonly SubmitResult[]> {
    const until = now() + persistMs;
    for (let pauseMs = 25; ; pauseMs = Math.min(pauseMs * 2, 400)) {
      try {
        return (await intake.submitMany({ items }, { timeoutMs })).results;
      } catch (error) {
        const isAway = error instanceof LonghaulError && error.code === "unavailable";
        if (!isAway || now() + pauseMs > until) throw error;
        await wait(pauseMs * (0.5 + Math.random()));
      }
    }
  }

  const gather = gatherCalls(sendAll, {
    maxItems: 256,
    maxBytes: 1_048_576,
    maxUnderWay: 4,
    minWhileBusy: 32,
    sizeOf: bytesOf,
    maxHeldBytes,
    ...(defer && { defer }),
  });
  return async (item, signal) => {
    const { result } = await (signal ? orAborted(gather(item), signal) : gather(item));
    switch (result.case) {
      case "accepted":
        return { task: result.value, replayed: false };
      case "replayed":
        return { task: result.value, replayed: true };
      case "refused":
        throw errorOf(result.value);
      case undefined:
        throw new LonghaulError("internal", "the scheduler answered nothing about a submit");
    }
  };
}

/** About the encoded size. */
function bytesOf(item: SubmitItem): number {
  let bytes = item.inputJson.length + item.workflow.length + item.idempotencyKey.length + 128;
  for (const key in item.labels) bytes += key.length + 256;
  if (item.webhook) {
    bytes += item.webhook.url.length + item.webhook.secret.length + 64;
    for (const key in item.webhook.headers) bytes += key.length + (item.webhook.headers[key]?.length ?? 0);
  }
  return bytes;
}

function errorOf({ code, message, faults }: SubmitRefusal): LonghaulError {
  const known: ErrorCode | undefined = errorCodes.find((one) => one === code);
  if (!known) return new LonghaulError("internal", "internal error", { cause: new Error(`unknown refusal ${code}: ${message}`) });
  return new LonghaulError(known, message, {
    faults: faults.map((fault) => ({ pointer: fault.pointer, message: fault.message })),
  });
}

/** The caller need not wait for a group that goes on without it. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(fromConnectError(toConnectError(signal.reason)));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
