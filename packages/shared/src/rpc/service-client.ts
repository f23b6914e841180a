import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client, createClient, makeAnyClient, type Transport } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { fromConnectError } from "./connect-error.ts";

/**
 * A client whose calls reject with the LonghaulError that the other side threw; a stream that its reader leaves is cancelled.
 * `unauthenticated` becomes `internal`: between services it means that INTERNAL_TOKEN differs, which no caller can mend.
 */
export function serviceClient<S extends DescService>(service: S, transport: Transport): Client<S> {
  const client = createClient(service, transport) as Record<string, AnyCall>;
  return makeAnyClient(service, (method) => {
    const call = client[method.localName];
    if (!call) return null;
    if (method.methodKind === "unary" || method.methodKind === "client_streaming") {
      return async (input: unknown, options?: CallOptions) => {
        try {
          return await call(input, options);
        } catch (error) {
          throw errorOfService(error, options?.signal);
        }
      };
    }
    return (input: unknown, options?: CallOptions) => stream(call, input, options);
  }) as Client<S>;
}

type AnyCall = (input: unknown, options?: CallOptions) => unknown;

async function* stream(call: AnyCall, input: unknown, options?: CallOptions): AsyncGenerator<unknown> {
  const left = new AbortController();
  const signal = options?.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
  try {
    yield* call(input, { ...options, signal }) as AsyncIterable<unknown>;
  } catch (error) {
    throw errorOfService(error, options?.signal);
  } finally {
    left.abort();
  }
}

function errorOfService(error: unknown, signal: AbortSignal | undefined): LonghaulError {
  const found = fromConnectError(error);
  switch (found.code) {
    case "unauthenticated":
      return new LonghaulError("internal", "a service refused another one", { cause: found });
    case "cancelled":
      // Nobody here called it off: the other side was stopped, and resets its streams so.
      return signal?.aborted ? found : new LonghaulError("unavailable", "the other side ended the call", { cause: found });
    default:
      return found;
  }
}
