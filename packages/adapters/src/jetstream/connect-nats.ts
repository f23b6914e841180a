import { setTimeout as pause } from "node:timers/promises";
import { LonghaulError } from "@longhaul/core";
import { connect, credsAuthenticator, type NatsConnection, type TlsOptions } from "@nats-io/transport-node";
import { readNatsAddress } from "./nats-address.ts";
import { type NatsLog, noLog } from "./nats-log.ts";

export interface ConnectNatsOptions {
  /** One address or several with commas between; may carry user and password, or a token. */
  readonly url: string;
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** The text of a credentials file (JWT and seed). */
  readonly credentials?: string;
  readonly tls?: TlsOptions;
  /** First tokens of the reply subjects, for accounts that may listen to one of their own only; default `_INBOX`. */
  readonly inboxPrefix?: string;
  /** How long one attempt to connect may take; default 5,000. */
  readonly timeoutMs?: number;
  /** How often the server is asked whether it is there; two missing answers count as a lost connection. Default 2,000. */
  readonly pingMs?: number;
  /** Bounds of the jittered wait between attempts; default 100 and 2,000. */
  readonly minWaitMs?: number;
  readonly maxWaitMs?: number;
  readonly log?: NatsLog;
}

/** A connection that is made and kept in the background, however long that takes. */
export interface NatsLink {
  /** True while connected. */
  ready(): boolean;
  /** Resolves once connected; rejects with `unavailable` when the link is closed first. */
  connected(): Promise<void>;
  /** The live connection; throws `unavailable` while there is none. */
  connection(): NatsConnection;
  /** Calls after each connect and reconnect, and soon if connected now. `fresh` when no earlier subscription lives on. Returns how to stop that. */
  onUp(run: (connection: NatsConnection, fresh: boolean) => void): () => void;
  /** Calls when the connection is lost. Returns how to stop that. */
  onDown(run: () => void): () => void;
  /** Sends what was published, then closes for good. */
  close(): Promise<void>;
}

/** Starts connecting and returns at once. Throws `invalid_argument` for an address that can't be used. */
export function connectNats(options: ConnectNatsOptions): NatsLink {
  const { url, name, tls, credentials, inboxPrefix = "_INBOX", log = noLog } = options;
  const { timeoutMs = 5_000, pingMs = 2_000, minWaitMs = 100, maxWaitMs = 2_000 } = options;
  const { tls: wantsTls, ...address } = readNatsAddress(url);
  const ups = new Set<(connection: NatsConnection, fresh: boolean) => void>();
  const downs = new Set<() => void>();
  const closing = new AbortController();
  let held: NatsConnection | undefined;
  let up = false;
  let attempts = 0;

  const nextWaitMs = (): number => Math.min(maxWaitMs, minWaitMs * 2 ** Math.min(attempts, 10)) * (0.5 + Math.random() / 2);

  function goUp(connection: NatsConnection, fresh: boolean): void {
    attempts = 0;
    up = true;
    log.info({ server: connection.getServer() }, fresh ? "connected to NATS" : "connected to NATS again");
    for (const run of [...ups]) run(connection, fresh);
  }

  function goDown(): void {
    if (!up) return;
    up = false;
    if (!closing.signal.aborted) log.warn({}, "lost the connection to NATS");
    for (const run of [...downs]) run();
  }

  async function follow(connection: NatsConnection): Promise<void> {
    const changes = connection.status();
    goUp(connection, true);
    for await (const change of changes) {
      if (change.type === "disconnect") goDown();
      else if (change.type === "reconnecting") attempts++;
      else if (change.type === "reconnect") goUp(connection, false);
      else if (change.type === "error") log.warn({ err: change.error }, "NATS reports an error");
    }
    await connection.closed();
    goDown();
  }

  async function keepConnected(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        const connection = await connect({
          ...address,
          name,
          inboxPrefix,
          timeout: timeoutMs,
          pingInterval: pingMs,
          maxPingOut: 2,
          maxReconnectAttempts: -1,
          // Wrong credentials may be put right on the server while this process runs.
          ignoreAuthErrorAbort: true,
          reconnectDelayHandler: nextWaitMs,
          noAsyncTraces: true,
          ...(tls || wantsTls ? { tls: tls ?? {} } : {}),
          ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(new TextEncoder().encode(credentials)) }),
        });
        if (closing.signal.aborted) return await connection.close();
        held = connection;
        await follow(connection);
      } catch (err) {
        if (attempts === 0) log.warn({ err }, "NATS can't be reached; trying on");
      }
      attempts++;
      await pause(nextWaitMs(), undefined, { signal: closing.signal }).catch(() => {});
    }
  }
  void keepConnected();

  const link: NatsLink = {
    ready: () => up,
    connected: () =>
      new Promise((resolve, reject) => {
        const ended = (): void => reject(unreachable());
        if (up) return resolve();
        if (closing.signal.aborted) return ended();
        closing.signal.addEventListener("abort", ended, { once: true });
        const stop = link.onUp(() => {
          stop();
          closing.signal.removeEventListener("abort", ended);
          resolve();
        });
      }),
    connection() {
      if (up && held) return held;
      throw unreachable();
    },
    onUp(run) {
      ups.add(run);
      if (up) {
        queueMicrotask(() => {
          if (up && held && ups.has(run)) run(held, true);
        });
      }
      return () => ups.delete(run);
    },
    onDown(run) {
      downs.add(run);
      return () => downs.delete(run);
    },
    async close() {
      const connection = held;
      if (!closing.signal.aborted && connection && up) {
        await Promise.race([connection.flush().catch(() => {}), pause(1_000, undefined, { ref: false })]);
      }
      closing.abort();
      await connection?.close();
    },
  };
  return link;
}

function unreachable(): LonghaulError {
  return new LonghaulError("unavailable", "the message broker can't be reached", { retryAfterMs: 1_000 });
}
