import { rm } from "node:fs/promises";
import { MongoClient } from "mongodb";
import { freePort } from "../net/free-port.ts";
import { type WatchedProcess, watchProcess } from "../process/watched-process.ts";
import { dataFolder, type FindOptions, findServer } from "./find-server.ts";

export interface MongoServer {
  /** With the replica set's name, and no database's. */
  readonly url: string;
  readonly port: number;
  /** The URL with a database's name; `direct` skips discovery, as one needs behind a proxy. */
  urlOf(database: string, how?: { readonly direct?: boolean; readonly port?: number }): string;
  /** Ends it as an operator would, and removes its data. */
  stop(): Promise<void>;
  /** SIGKILL; its data stays. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and data, after `kill()`; kills it first when it runs. */
  restart(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  thaw(): void;
}

const setName = "rs0";

/** A MongoDB replica set of one, of its own, that takes writes when this resolves. */
export async function mongoServer(options: FindOptions & { readonly port?: number } = {}): Promise<MongoServer> {
  const program = await findServer("mongod", options);
  const dir = await dataFolder("mongod");
  const port = options.port ?? (await freePort());
  const urlOf: MongoServer["urlOf"] = (database, { direct = false, port: other = port } = {}) =>
    `mongodb://127.0.0.1:${other}/${database}?${direct ? "directConnection=true" : `replicaSet=${setName}`}`;

  const args = ["--replSet", setName, "--bind_ip", "127.0.0.1", "--port", String(port), "--dbpath", dir, "--nounixsocket"];
  const sparing = [
    "--oplogSize",
    "64",
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
  ];
  const launch = (): WatchedProcess => watchProcess(program, [...args, ...sparing], { remove: [dir] });

  let server = launch();
  try {
    await server.line(/"Waiting for connections"/);
    await initiate(urlOf("admin", { direct: true }), port);
    await server.line(primaryLine);
  } catch (error) {
    await server.kill("SIGKILL");
    await rm(dir, { recursive: true, force: true });
    throw error;
  }

  return {
    url: urlOf(""),
    port,
    urlOf,
    async stop() {
      await server.kill("SIGTERM");
      await rm(dir, { recursive: true, force: true });
    },
    async kill() {
      await server.kill("SIGKILL");
    },
    async restart() {
      await server.kill("SIGKILL");
      server = launch();
      await server.line(primaryLine);
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
  };
}

const primaryLine = /"Transition to primary complete/;

async function initiate(url: string, port: number): Promise<void> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 30_000 });
  try {
    await client.db("admin").command({
      replSetInitiate: {
        _id: setName,
        members: [{ _id: 0, host: `127.0.0.1:${port}` }],
        settings: { electionTimeoutMillis: 1_000 },
      },
    });
  } finally {
    await client.close();
  }
}
