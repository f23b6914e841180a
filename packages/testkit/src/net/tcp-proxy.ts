import { connect, createServer, type Socket } from "node:net";

export interface TcpProxy {
  readonly port: number;
  /**
   * `reset` (default) tears every connection and refuses new ones; `silent` leaves them open and lets nothing through, as a network
   * that is gone does.
   */
  cut(how?: "reset" | "silent"): void;
  /** Lets everything through again; connections that were silenced are torn, since what they lost never comes. */
  heal(): void;
  /** Holds back every piece of data this long, each way; 0 for none. */
  delay(ms: number): void;
  /** How many connections are open. */
  connections(): number;
  stop(): Promise<void>;
}

/** A TCP proxy on a free port of 127.0.0.1 that can be cut and slowed. */
export async function tcpProxy(target: number | { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const to = typeof target === "number" ? { host: "127.0.0.1", port: target } : target;
  const pairs = new Set<readonly [Socket, Socket]>();
  let state: "open" | "reset" | "silent" = "open";
  let delayMs = 0;

  const tear = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  const pass = (from: Socket, into: Socket): void => {
    from.on("data", (chunk) => {
      if (state === "silent") return;
      if (delayMs > 0) setTimeout(() => into.destroyed || into.write(chunk), delayMs);
      else if (!into.write(chunk)) {
        from.pause();
        into.once("drain", () => from.resume());
      }
    });
    from.on("end", () => {
      if (delayMs > 0) setTimeout(() => into.end(), delayMs);
      else into.end();
    });
  };

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    near.on("error", () => {});
    if (state === "reset") return void near.resetAndDestroy();
    const far = connect({ ...to, noDelay: true, allowHalfOpen: true });
    const pair = [near, far] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    far.on("error", end);
    near.on("close", end);
    far.on("close", end);
    pass(near, far);
    pass(far, near);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("the proxy has no port");

  return {
    port: at.port,
    cut(how = "reset") {
      state = how;
      if (how === "reset") tear();
    },
    heal() {
      if (state === "silent") tear();
      state = "open";
    },
    delay(ms) {
      delayMs = ms;
    },
    connections: () => pairs.size,
    stop: () =>
      new Promise((resolve) => {
        tear();
        server.close(() => resolve());
      }),
  };
}
