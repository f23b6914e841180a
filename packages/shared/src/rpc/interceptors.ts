import { createHash, timingSafeEqual } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import type { Logger } from "../log/logger.ts";
import { toConnectError } from "./connect-error.ts";
import { internalTokenHeader } from "./metadata.ts";

/** Whether two secrets are equal, in a time that tells nothing about where they differ. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** The wire form of what a call failed with. What nobody expected is logged, unless the caller has left. */
export function errorAnswer(log: Logger, error: unknown, method: DescMethod, hasLeft: boolean): ConnectError {
  const isExpected = error instanceof ConnectError || (error instanceof LonghaulError && error.code !== "internal");
  if (!isExpected && !hasLeft) log.error({ err: error, method: `${method.parent.typeName}/${method.name}` }, "call failed");
  return toConnectError(error);
}

/** Server side: gives every error its wire form; what nobody expected is logged with its stack and goes out as a bare `internal`. */
export function answerErrors(log: Logger): Interceptor {
  return (next) => async (req) => {
    const turn = (error: unknown): ConnectError => errorAnswer(log, error, req.method, req.signal.aborted);
    try {
      const res = await next(req);
      return res.stream ? { ...res, message: mapErrors(res.message, turn) } : res;
    } catch (error) {
      throw turn(error);
    }
  };
}

async function* mapErrors<T>(items: AsyncIterable<T>, turn: (error: unknown) => ConnectError): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw turn(error);
  }
}

/** Throws `unauthenticated` for a call that does not carry the token. */
export function checkToken(given: string | null | undefined, token: string): void {
  if (sameSecret(given ?? "", token)) return;
  throw new LonghaulError(
    "unauthenticated",
    "the internal token is missing or wrong; INTERNAL_TOKEN must be the same in every service",
  );
}

/** Server side: refuses calls without the token, except those of the services in `open` (health, reflection). */
export function requireInternalToken(token: string, open: ReadonlySet<string>): Interceptor {
  return (next) => async (req) => {
    if (!open.has(req.service.typeName)) checkToken(req.header.get(internalTokenHeader), token);
    return next(req);
  };
}

/** Client side: adds the token. */
export function addInternalToken(token: string): Interceptor {
  return (next) => (req) => {
    req.header.set(internalTokenHeader, token);
    return next(req);
  };
}

/** Server side: ends streamed answers with `unavailable` once `draining` aborts, so that watchers go elsewhere while calls finish. */
export function endStreamsWhen(draining: AbortSignal): Interceptor {
  return (next) => async (req) => {
    const res = await next(req);
    return res.stream ? { ...res, message: untilAborted(res.message, draining) } : res;
  };
}

async function* untilAborted<T>(items: AsyncIterable<T>, draining: AbortSignal): AsyncGenerator<T> {
  const it = items[Symbol.asyncIterator]();
  let stop = (): void => {};
  const drained = new Promise<"drained">((resolve) => {
    stop = () => resolve("drained");
    draining.addEventListener("abort", stop, { once: true });
    if (draining.aborted) stop();
  });
  let open = true;
  try {
    for (;;) {
      const next = await Promise.race([it.next(), drained]);
      if (next === "drained")
        throw new LonghaulError("unavailable", "this server is going away, connect again", { retryAfterMs: 0 });
      if (next.done) {
        open = false;
        return;
      }
      yield next.value;
    }
  } finally {
    draining.removeEventListener("abort", stop);
    // Not awaited: an iterator that waits for something would hold up the end of the stream.
    if (open) it.return?.().catch(() => {});
  }
}

/** Either side: one debug line per call, with how long it took and how it ended. */
export function logCalls(log: Logger, now: () => number = () => performance.now()): Interceptor {
  return (next) => async (req) => {
    const begun = now();
    const method = `${req.service.typeName}/${req.method.name}`;
    try {
      const res = await next(req);
      log.debug({ method, ms: Math.round((now() - begun) * 10) / 10 }, "call answered");
      return res;
    } catch (error) {
      const code = error instanceof ConnectError ? error.code : undefined;
      log.debug({ method, ms: Math.round((now() - begun) * 10) / 10, code }, "call refused");
      throw error;
    }
  };
}
