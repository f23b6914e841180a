import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";

/**
 * What callers may know of an error: what a service said in so many words, it said for them; what the connection to it said (addresses,
 * names, ports) stays inside, as the cause.
 */
export function withoutBackends(error: unknown): unknown {
  if (!(error instanceof LonghaulError) || !(error.cause instanceof ConnectError) || error.cause.details.length > 0) return error;
  switch (error.code) {
    case "unavailable":
      return new LonghaulError("unavailable", "a service behind this one can't be reached at the moment, try again", {
        cause: error,
        retryAfterMs: error.retryAfterMs ?? 1_000,
      });
    case "internal":
      return new LonghaulError("internal", "internal error", { cause: error });
    default:
      return error;
  }
}

/** The same for gRPC and Connect. */
export const hideBackends: Interceptor = (next) => async (req) => {
  try {
    const res = await next(req);
    return res.stream ? { ...res, message: hiding(res.message) } : res;
  } catch (error) {
    throw withoutBackends(error);
  }
};

async function* hiding<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw withoutBackends(error);
  }
}
