import { create, type DescMessage, type DescMethod, type DescService, isMessage, type Message } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  type ContextValues,
  createContextValues,
  type HandlerContext,
  makeAnyClient,
  type ServiceImpl,
} from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { type Logger, silentLogger } from "../log/logger.ts";
import { fromConnectError, toConnectError } from "./connect-error.ts";
import { checkMessageSize } from "./message-size.ts";

export interface DirectOptions {
  /** Time for a call whose caller sets none; default 15 s. Streams have none by default. */
  readonly timeoutMs?: number;
  /** Largest message either way; default 24 MiB. */
  readonly maxBytes?: number;
  readonly log?: Logger;
}

type AnyImpl = (request: unknown, context: HandlerContext) => unknown;

/**
 * The client of a service in the same process: calls the implementation itself, without serialising, with the deadlines, abort signals,
 * size checks and errors (LonghaulError) that `serviceClient` has over a transport. Messages are passed by reference: neither side may change them.
 */
export function directClient<S extends DescService>(
  service: S,
  impl: Partial<ServiceImpl<S>>,
  options: DirectOptions = {},
): Client<S> {
  const { timeoutMs = 15_000, maxBytes = 25_165_824, log = silentLogger } = options;
  const methods = impl as Record<string, AnyImpl | undefined>;

  const failed = (method: DescMethod, error: unknown): LonghaulError => {
    if (error instanceof LonghaulError) return error;
    const known = toConnectError(error);
    const found = fromConnectError(known);
    if (known !== error && found.code === "internal") {
      log.error({ err: error, method: `${service.typeName}/${method.name}` }, "call failed");
      return new LonghaulError("internal", "internal error", { cause: error });
    }
    return found;
  };
  const message = (desc: DescMessage, init: unknown): Message => {
    const made = isMessage(init, desc) ? init : create(desc, init as Record<string, unknown>);
    checkMessageSize(made, maxBytes);
    return made;
  };

  return makeAnyClient(service, (method) => {
    const run: AnyImpl =
      methods[method.localName]?.bind(impl) ??
      (() => {
        throw new LonghaulError("internal", `${service.typeName}/${method.name} is not implemented`);
      });
    switch (method.methodKind) {
      case "unary":
        return (input: unknown, call?: CallOptions) => {
          const context = new DirectContext(service, method, call, call?.timeoutMs ?? timeoutMs);
          return new Promise((resolve, reject) => {
            context.onAbort(reject);
            const answer = async (): Promise<Message> => message(method.output, await run(message(method.input, input), context));
            if (!context.ended) answer().then(resolve, (error: unknown) => reject(failed(method, error)));
          }).finally(() => context.end(call));
        };
      case "server_streaming":
        return (input: unknown, call?: CallOptions) => ({
          [Symbol.asyncIterator]: () => {
            const context = new DirectContext(service, method, call, call?.timeoutMs);
            return iterate({
              context,
              open: () => run(message(method.input, input), context) as AsyncIterable<unknown>,
              check: (out) => message(method.output, out),
              failed: (error) => failed(method, error),
              end: () => context.end(call),
            });
          },
        });
      default:
        return null;
    }
  }) as Client<S>;
}

interface Stream {
  readonly context: DirectContext;
  readonly open: () => AsyncIterable<unknown>;
  readonly check: (out: unknown) => Message;
  readonly failed: (error: unknown) => LonghaulError;
  readonly end: () => void;
}

async function* iterate({ context, open, check, failed, end }: Stream): AsyncGenerator<Message> {
  const gone = new Promise<never>((_, reject) => context.onAbort(reject));
  gone.catch(() => {});
  let it: AsyncIterator<unknown> | undefined;
  let isDone = false;
  try {
    if (context.ended) await gone;
    it = open()[Symbol.asyncIterator]();
    for (;;) {
      const next = await Promise.race([it.next(), gone]);
      if (next.done) {
        isDone = true;
        return;
      }
      yield check(next.value);
    }
  } catch (error) {
    throw failed(error);
  } finally {
    end();
    // Not awaited: the iterator may wait for something that its signal has just called off.
    if (!isDone) it?.return?.().catch(() => {});
  }
}

/** What a handler sees of its call. Headers and the signal are made only when asked for, because most handlers ask for neither. */
class DirectContext implements HandlerContext {
  readonly service: DescService;
  readonly method: DescMethod;
  readonly requestMethod = "POST";
  readonly protocolName = "direct";
  /** True once the call was aborted or is over. */
  ended = false;
  readonly #call: CallOptions | undefined;
  readonly #deadline: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #reject: ((error: LonghaulError) => void) | undefined;
  #why: LonghaulError | undefined;
  #controller: AbortController | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;

  constructor(service: DescService, method: DescMethod, call: CallOptions | undefined, timeoutMs: number | undefined) {
    this.service = service;
    this.method = method;
    this.#call = call;
    if (timeoutMs !== undefined) {
      this.#deadline = Date.now() + timeoutMs;
      this.#timer = setTimeout(this.#onTimeout, Math.max(0, timeoutMs));
    }
    if (call?.signal?.aborted) this.#onSignal();
    else call?.signal?.addEventListener("abort", this.#onSignal);
  }

  get url(): string {
    return `direct://${this.service.typeName}/${this.method.name}`;
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#why) this.#controller.abort(this.#why);
    return this.#controller.signal;
  }
  timeoutMs = (): number | undefined => (this.#deadline === undefined ? undefined : this.#deadline - Date.now());
  get requestHeader(): Headers {
    this.#requestHeader ??= new Headers(this.#call?.headers);
    return this.#requestHeader;
  }
  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }
  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }
  get values(): ContextValues {
    this.#values ??= this.#call?.contextValues ?? createContextValues();
    return this.#values;
  }

  /** Rejects the caller when the call is aborted or out of time; at once when it is already. */
  onAbort(reject: (error: LonghaulError) => void): void {
    this.#reject = reject;
    if (this.#why) reject(this.#why);
  }

  end(call: CallOptions | undefined): void {
    this.ended = true;
    clearTimeout(this.#timer);
    this.#call?.signal?.removeEventListener("abort", this.#onSignal);
    // As over a transport: the signal of a call that is over is aborted, so that nothing started for it goes on.
    this.#controller?.abort(this.#why ?? new LonghaulError("cancelled", "the call is over"));
    call?.onHeader?.(this.responseHeader);
    call?.onTrailer?.(this.responseTrailer);
  }

  #onTimeout = (): void => this.#abort(new LonghaulError("deadline_exceeded", "the call ran out of time"));
  #onSignal = (): void =>
    this.#abort(new LonghaulError("cancelled", "the call was cancelled", { cause: this.#call?.signal?.reason }));

  #abort(why: LonghaulError): void {
    if (this.ended) return;
    this.ended = true;
    this.#why = why;
    this.#controller?.abort(why);
    this.#reject?.(why);
  }
}
