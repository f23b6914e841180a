import type { Server as Http1Server } from "node:http";
import type { Http2Server, ServerHttp2Session } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Part } from "../lifecycle/part.ts";

export interface OnePortOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Takes HTTP/1.1 connections; must not listen itself. */
  readonly http1: Http1Server;
  /** Takes cleartext HTTP/2 connections with prior knowledge; must not listen itself. */
  readonly http2: Http2Server;
  /** How long a connection may stay silent before its first bytes; default 60 s. */
  readonly silentMs?: number;
}

export interface OnePort extends Part {
  /** Where it listens; throws before `start()`. */
  address(): { readonly host: string; readonly port: number };
}

const preface = Buffer.from("PRI ");

/** Serves HTTP/1.1 and cleartext HTTP/2 on one port: the first bytes of a connection decide which server takes it. */
export function onePort({ host, port, http1, http2, silentMs = 60_000 }: OnePortOptions): OnePort {
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  let draining = false;

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    if (draining) return void socket.destroy();
    peek(socket, silentMs, (isHttp2) => (isHttp2 ? http2 : http1).emit("connection", socket));
  });
  http2.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    // A session that fails closes; without a listener its error would end the process.
    session.on("error", () => {});
    if (draining) session.close();
  });
  http1.on("request", (_req, res) => {
    if (draining && !res.headersSent) res.setHeader("connection", "close");
    res.once("close", () => {
      if (draining) setImmediate(() => http1.closeIdleConnections());
    });
  });

  return {
    name: "port",
    start: () =>
      new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ host, port }, () => {
          server.off("error", reject);
          // Sets up the timers for slow headers and requests, which node:http does when it listens itself.
          http1.emit("listening");
          resolve();
        });
      }),
    address() {
      const at = server.address() as AddressInfo | string | null;
      if (at === null || typeof at === "string") throw new Error("the port is not open yet");
      return { host: at.address, port: at.port };
    },
    async drain(deadline) {
      draining = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.close();
      http1.closeIdleConnections();
      // Connections that never said anything belong to neither server.
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
      await Promise.race([
        closed,
        new Promise<void>((resolve) => deadline.addEventListener("abort", () => resolve(), { once: true })),
      ]);
    },
    async stop() {
      draining = true;
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      // Never listening, they only stop their timers; that they complain about it does not matter.
      http1.close(() => {});
      http2.close(() => {});
      if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Waits for enough bytes to tell HTTP/2 (`PRI `) from HTTP/1.1, puts them back, and hands the connection on. */
function peek(socket: Socket, silentMs: number, handOver: (isHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const onError = (): void => {
    socket.destroy();
  };
  const onTimeout = onError;
  const onEnd = onError;
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const known = Math.min(seen.length, preface.length);
    const couldBeHttp2 = seen.subarray(0, known).equals(preface.subarray(0, known));
    if (couldBeHttp2 && known < preface.length) return;
    socket.off("data", onData);
    socket.off("error", onError);
    socket.off("timeout", onTimeout);
    socket.off("end", onEnd);
    socket.setTimeout(0);
    socket.pause();
    socket.unshift(seen);
    handOver(couldBeHttp2);
    // An HTTP/1.1 parser reads by itself only what comes after; this makes it take what was put back as well.
    if (!couldBeHttp2) socket.resume();
  };
  socket.setTimeout(silentMs);
  socket.on("error", onError);
  socket.on("timeout", onTimeout);
  socket.on("end", onEnd);
  socket.on("data", onData);
}
