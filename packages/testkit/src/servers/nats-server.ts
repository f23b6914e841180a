import { mkdir, rm } from "node:fs/promises";
import { freePort } from "../net/free-port.ts";
import { type WatchedProcess, watchProcess } from "../process/watched-process.ts";
import { dataFolder, type FindOptions, findServer } from "./find-server.ts";

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  /** Ends it as an operator would, and removes its data (unless its folder was given). */
  stop(): Promise<void>;
  /** SIGKILL; its data stays. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and data; kills it first when it runs. */
  restart(): Promise<void>;
  /** Deletes all its data; only while it is down. */
  wipe(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  thaw(): void;
}

/** A NATS server with JetStream, of its own, that takes connections when this resolves. */
export async function natsServer(
  options: FindOptions & { readonly dir?: string; readonly port?: number } = {},
): Promise<NatsServer> {
  const program = await findServer("nats-server", options);
  const dir = options.dir ?? (await dataFolder("nats"));
  const port = options.port ?? (await freePort());
  const args = ["--addr", "127.0.0.1", "--port", String(port), "--jetstream", "--store_dir", dir];
  let isUp = false;
  const launch = async (): Promise<WatchedProcess> => {
    const made = watchProcess(program, args, { remove: options.dir === undefined ? [dir] : [] });
    await made.line(/Server is ready/);
    isUp = true;
    return made;
  };
  let server = await launch();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await server.kill(signal);
    isUp = false;
  };

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    async stop() {
      await end("SIGTERM");
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
    kill: () => end("SIGKILL"),
    async restart() {
      await end("SIGKILL");
      server = await launch();
    },
    async wipe() {
      if (isUp) throw new Error("the server runs: kill() it before its data is deleted");
      await rm(dir, { recursive: true, force: true });
      await mkdir(dir, { recursive: true });
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
  };
}
