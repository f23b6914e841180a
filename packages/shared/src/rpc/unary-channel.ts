import { create, type DescMessage, type DescMethodUnary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { codeFromHttpStatus, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { LonghaulError } from "@longhaul/core";
import { type Dispatcher, Pool } from "undici";
import { toConnectError } from "./connect-error.ts";
import { codecOf } from "./message-codec.ts";
import { internalTokenHeader } from "./metadata.ts";

export interface UnaryChannelOptions {
  readonly token: string | undefined;
  /** For calls whose caller sets no time. */
  readonly timeoutMs: number;
  /** Largest message read. */
  readonly maxBytes: number;
}

/** Nothing was sent by then, so the call may go to another address. */
const connectTimeoutMs = 3_000;

/** The unary half of a Connect transport. */
export interface UnaryChannel extends Pick<Transport, "unary"> {
  /** Ends the connections; calls under way fail. */
  close(): void;
}

/**
 * Unary Connect calls over HTTP/1.1, at a sixth of what the general transport takes for one. A call has a connection to itself while it is
 * under way, so this is for short calls of which few are made at a time: grouped ones.
 */
export function unaryChannel(base: URL, { token, timeoutMs: ownTimeoutMs, maxBytes }: UnaryChannelOptions): UnaryChannel {
  const pool = new Pool(base.origin, { connect: { timeout: connectTimeoutMs } });
  const root = base.pathname.replace(/\/$/, "");
  const fixed = {
    "content-type": "application/proto",
    "connect-protocol-version": "1",
    ...(token !== undefined && { [internalTokenHeader]: token }),
  };

  return {
    unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: CallOptions["headers"],
      input: MessageInitShape<I>,
    ) {
      return new Promise<UnaryResponse<I, O>>((resolve, reject) => {
        const callMs = timeoutMs ?? ownTimeoutMs;
        const headers: Record<string, string> = { ...fixed, "connect-timeout-ms": String(Math.max(1, Math.ceil(callMs))) };
        if (header !== undefined) {
          for (const [name, value] of new Headers(header)) headers[name] = value;
        }
        const answer = new Answer(maxBytes, signal, callMs, reject, (status, responseHeader, data) => {
          if (status !== 200) throw failureOf(status, responseHeader, data);
          // The codec makes messages of the type that it was asked for.
          const message = codecOf(method.output).decode(data) as MessageShape<O>;
          resolve({
            stream: false,
            service: method.parent,
            method,
            header: responseHeader,
            message,
            trailer: new Headers(),
          });
        });
        if (answer.isOver) return;
        try {
          const body = codecOf(method.input).encode(create(method.input, input));
          const path = `${root}/${method.parent.typeName}/${method.name}`;
          pool.dispatch({ method: "POST", path, headers, body, headersTimeout: 0, bodyTimeout: 0 }, answer);
        } catch (error) {
          answer.fail(error);
        }
      });
    },
    close() {
      pool.destroy(new LonghaulError("unavailable", "the transport is closed")).catch(() => {});
    },
  };
}

type ReceivedHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Takes the answer of one call, until its time is up or its caller calls it off. */
class Answer implements Dispatcher.DispatchHandler {
  isOver = false;
  readonly #maxBytes: number;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #reject: (error: ConnectError) => void;
  readonly #settle: (status: number, header: Headers, data: Buffer) => void;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #status = 0;
  #headers: ReceivedHeaders = {};
  #controller: Dispatcher.DispatchController | undefined;

  constructor(
    maxBytes: number,
    signal: AbortSignal | undefined,
    timeoutMs: number,
    reject: (error: ConnectError) => void,
    settle: (status: number, header: Headers, data: Buffer) => void,
  ) {
    this.#maxBytes = maxBytes;
    this.#signal = signal;
    this.#reject = reject;
    this.#settle = settle;
    this.#timer = setTimeout(() => this.fail(new ConnectError("the operation timed out", Code.DeadlineExceeded)), timeoutMs);
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener("abort", this.#onAbort);
  }

  /** Ends the call, if it is not over. */
  fail(why: unknown): void {
    if (!this.#end()) return;
    const error = connectionError(why);
    this.#reject(error);
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.isOver) controller.abort(new ConnectError("the call is over", Code.Canceled));
  }
  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ReceivedHeaders): void {
    this.#status = status;
    this.#headers = headers;
  }
  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#maxBytes) {
      this.fail(new LonghaulError("too_large", `the answer is larger than ${this.#maxBytes} bytes`));
    } else this.#chunks.push(chunk);
  }
  onResponseEnd(): void {
    if (!this.#end()) return;
    try {
      const [first] = this.#chunks;
      this.#settle(
        this.#status,
        headersFrom(this.#headers),
        this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks),
      );
    } catch (error) {
      this.#reject(
        error instanceof ConnectError
          ? error
          : new ConnectError("the answer can't be read", Code.Internal, undefined, undefined, error),
      );
    }
  }
  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  readonly #onAbort = (): void => this.fail(ConnectError.from(this.#signal?.reason, Code.Canceled));

  #end(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}

function headersFrom(found: ReceivedHeaders): Headers {
  const headers = new Headers();
  for (const name in found) {
    const value = found[name];
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return headers;
}

function failureOf(status: number, header: Headers, data: Buffer): ConnectError {
  const bare = new ConnectError(`HTTP ${status}`, codeFromHttpStatus(status));
  return header.get("content-type") === "application/json" ? errorFromJsonBytes(data, header, bare) : bare;
}

/** What the connection failed with; nothing is known of the call then. */
function connectionError(why: unknown): ConnectError {
  if (why instanceof ConnectError || why instanceof LonghaulError) return toConnectError(why);
  return new ConnectError("the connection failed", Code.Unavailable, undefined, undefined, why);
}
