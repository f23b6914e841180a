import { type MongoServer, mongoServer, type NatsServer, natsServer } from "@longhaul/testkit";
import { pidWithPort } from "../process/resources.ts";
import type { Target } from "./target.ts";

/** A MongoDB replica set of one and a JetStream server, both fresh, so that no target inherits another one's data. */
export interface Servers {
  readonly mongo: MongoServer;
  readonly nats: NatsServer;
  readonly processes: Target["processes"];
  stop(): Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const [mongo, nats] = await Promise.all([mongoServer({ say }), natsServer({ say })]);
  const processes = [
    { name: "mongod", pid: pidWithPort(mongo.port) ?? -1, isOurs: false },
    { name: "nats-server", pid: pidWithPort(nats.port) ?? -1, isOurs: false },
  ];
  return {
    mongo,
    nats,
    processes,
    async stop() {
      await Promise.all([mongo.stop(), nats.stop()]);
    },
  };
}
