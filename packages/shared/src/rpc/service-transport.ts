import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { DescMethodStreaming, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { isConnectionFault } from "./connect-error.ts";
import { addInternalToken } from "./interceptors.ts";
import { messageDepth } from "./message-codec.ts";
import { type UnaryChannel, unaryChannel } from "./unary-channel.ts";

export interface ServiceTransportOptions {
  /** Proves this service to the other. */
  readonly token?: string;
  /** For calls whose caller sets no time; default 15 s. */
  readonly timeoutMs?: number;
  /** Largest message read; default 24 MiB. */
  readonly maxBytes?: number;
  /** How often the name is looked up anew; default 5 s. */
  readonly lookupMs?: number;
  /** All addresses of a name. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  /** Milliseconds, rising. */
  readonly now?: () => number;
  /** Services whose unary calls are short and few at a time, as grouped calls are: they go over connections of their own, and cost less. */
  readonly grouped?: readonly DescService[];
}

export interface ServiceTransport extends Transport {
  /** Closes every connection; calls under way fail. */
  close(): void;
}

interface Channel {
  readonly transport: Transport;
  readonly session: Http2SessionManager;
  readonly quick: UnaryChannel;
  /** Left out of the rotation until then, because it could not be reached. */
  shunUntil: number;
}

/**
 * Connect over cleartext HTTP/2, one connection per address of the name, used in turn. An address that can't be reached is left out for a
 * second, and the call goes to the next one, which is safe because nothing was sent. Broken connections are opened anew by the next call;
 * idle ones are checked by PING. For `https` the name has one connection.
 */
export function serviceTransport(url: string, options: ServiceTransportOptions = {}): ServiceTransport {
  const { token, timeoutMs = 15_000, maxBytes = 25_165_824, lookupMs = 5_000, now = () => performance.now() } = options;
  const resolve = options.resolve ?? (async (host) => (await lookup(host, { all: true })).map((one) => one.address));
  const grouped = new Set(options.grouped?.map((service) => service.typeName));
  const base = new URL(url);
  const host = base.hostname.replace(/^\[(.*)\]$/, "$1");
  const isFixed = base.protocol === "https:" || isIP(host) !== 0;

  const channels = new Map<string, Channel>();
  let order: readonly Channel[] = [];
  let turn = 0;
  let lookedUpAt = Number.NEGATIVE_INFINITY;
  let lookingUp: Promise<void> | undefined;
  let isClosed = false;

  function open(address: string): Channel {
    const at = new URL(base);
    if (address !== "") at.hostname = isIP(address) === 6 ? `[${address}]` : address;
    const session = new Http2SessionManager(
      at,
      { pingIntervalMs: 10_000, pingTimeoutMs: 5_000, pingIdleConnection: true, idleConnectionTimeoutMs: 300_000 },
      { settings: { initialWindowSize: 1_048_576 }, maxSessionMemory: 256 },
    );
    hearErrors(session);
    const transport = createConnectTransport({
      httpVersion: "2",
      baseUrl: at.href.replace(/\/$/, ""),
      sessionManager: session,
      defaultTimeoutMs: timeoutMs,
      readMaxBytes: maxBytes,
      binaryOptions: { recursionLimit: messageDepth },
      acceptCompression: [],
      interceptors: token === undefined ? [] : [addInternalToken(token)],
    });
    return { transport, session, quick: unaryChannel(at, { token, timeoutMs, maxBytes }), shunUntil: 0 };
  }

  async function lookUp(): Promise<void> {
    const found = new Set(isFixed ? [""] : await resolve(host));
    lookedUpAt = now();
    for (const [address, channel] of channels) {
      if (found.has(address)) continue;
      channels.delete(address);
      retire(channel);
    }
    for (const address of found) if (!channels.has(address)) channels.set(address, open(address));
    order = [...channels.values()];
  }

  async function pick(): Promise<readonly Channel[]> {
    if (isClosed) throw new ConnectError("the transport is closed", Code.Unavailable);
    const isStale = !(isFixed && order.length > 0) && now() - lookedUpAt >= lookupMs;
    if (isStale) {
      lookingUp ??= lookUp().finally(() => {
        lookingUp = undefined;
      });
      // While addresses are known, a slow name server delays nobody and a broken one harms nobody.
      if (order.length === 0) await lookingUp;
      else lookingUp.catch(() => {});
    }
    if (order.length === 0) throw new ConnectError(`${host} has no address`, Code.Unavailable);
    turn = (turn + 1) % order.length;
    const rotated = [...order.slice(turn), ...order.slice(0, turn)];
    const usable = rotated.filter((channel) => channel.shunUntil <= now());
    return usable.length > 0 ? usable : rotated;
  }

  async function call<T>(run: (channel: Channel) => Promise<T>, mayRepeat: boolean): Promise<T> {
    let candidates: readonly Channel[];
    try {
      candidates = await pick();
    } catch (error) {
      throw error instanceof ConnectError
        ? error
        : new ConnectError(`${host} can't be looked up`, Code.Unavailable, undefined, undefined, error);
    }
    let last: unknown;
    for (const channel of candidates) {
      try {
        return await run(channel);
      } catch (error) {
        if (!(isConnectionFault(error) && wasRefused(error))) throw error;
        channel.shunUntil = now() + 1_000;
        lookedUpAt = Math.min(lookedUpAt, now() - lookupMs);
        // What a stream sends can be read only once, so it can't be sent again.
        if (!mayRepeat) throw error;
        last = error;
      }
    }
    throw last;
  }

  return {
    unary: (method: DescMethodUnary, ...rest) =>
      call(({ quick, transport }) => (grouped.has(method.parent.typeName) ? quick : transport).unary(method, ...rest), true),
    stream: (method: DescMethodStreaming, ...rest) => call(({ transport }) => transport.stream(method, ...rest), false),
    close() {
      isClosed = true;
      for (const { session, quick } of channels.values()) {
        session.abort();
        quick.close();
      }
      channels.clear();
      order = [];
    },
  } as ServiceTransport;
}

/**
 * A server that goes away while nothing is under way makes the session raise an error that has no call to reject, and an error without
 * a listener ends the process. Calls under way hear of a broken session by themselves.
 */
function hearErrors(session: Http2SessionManager): void {
  const heard = new WeakSet<object>();
  const request = session.request.bind(session);
  session.request = async (...args) => {
    const stream = await request(...args);
    const connection = stream.session;
    if (connection !== undefined && !heard.has(connection)) {
      heard.add(connection);
      connection.on("error", () => {});
    }
    return stream;
  };
}

/** Whether the connection was never made, so that nothing can have been sent. */
function wasRefused(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if ("syscall" in at && at.syscall === "connect") return true;
    if ("code" in at && at.code === "UND_ERR_CONNECT_TIMEOUT") return true;
  }
  return false;
}

/** Lets the calls of an address that is gone finish, then closes; a dead one is cut. */
function retire({ session, quick }: Channel): void {
  const timer = setTimeout(() => {
    session.abort();
    quick.close();
  }, 30_000);
  timer.unref();
}
