import { connect, createServer, type Socket } from "node:net";

/** One address in front of several: each connection goes to the next that takes it, as behind a service of a cluster. */
export interface Balancer {
  readonly url: string;
  /** Sends nothing there any more and tears what is open, as a failed health check has it. */
  exclude(port: number): void;
  include(port: number): void;
  stop(): Promise<void>;
}

export async function balancer(ports: readonly number[]): Promise<Balancer> {
  const out = new Set<number>();
  const open = new Map<Socket, number>();
  let turn = 0;
  const server = createServer({ noDelay: true }, (near) => {
    near.on("error", () => {});
    turn++;
    const usable = ports.filter((port) => !out.has(port));
    pass(near, [...usable.slice(turn % usable.length), ...usable.slice(0, turn % usable.length)]);
  });
  function pass(near: Socket, candidates: readonly number[]): void {
    const [port, ...rest] = candidates;
    if (port === undefined || near.destroyed) return void near.destroy();
    const far = connect({ port, host: "127.0.0.1", noDelay: true });
    let isOpen = false;
    far.once("connect", () => {
      isOpen = true;
      open.set(far, port);
      near.pipe(far);
      far.pipe(near);
    });
    far.once("error", () => (isOpen ? near.destroy() : pass(near, rest)));
    far.once("close", () => {
      open.delete(far);
      if (isOpen) near.destroy();
    });
    near.once("close", () => far.destroy());
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${at.port}`,
    exclude(port) {
      out.add(port);
      for (const [far, to] of open) if (to === port) far.destroy();
    },
    include: (port) => void out.delete(port),
    stop: () =>
      new Promise((resolve) => {
        for (const far of open.keys()) far.destroy();
        server.close(() => resolve());
      }),
  };
}
