// Floor: messages of the size of a ticket published to JetStream, each acknowledged by the server, `batch` under way.
import { jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { serveWorker } from "../../process/worker.ts";
import type { LoopCalls } from "../server-calls.ts";
import { uuidV7 } from "../uuid.ts";

serveWorker<LoopCalls>({
  async run({ count, batch, env }) {
    const connection = await connect({ servers: env["url"] ?? "" });
    const manager = await jetstreamManager(connection);
    const storage = env["storage"] === "file" ? StorageType.File : StorageType.Memory;
    const name = `BENCH_${storage}`;
    await manager.streams.add({ name, subjects: [`bench.${storage}`], retention: RetentionPolicy.Workqueue, storage });
    const stream = jetstream(connection);
    const cpu = process.cpuUsage();
    const start = performance.now();
    let left = count;
    async function work(): Promise<void> {
      while (left-- > 0) await stream.publish(`bench.${storage}`, `${uuidV7()} 1 default`);
    }
    await Promise.all(Array.from({ length: batch }, work));
    const seconds = (performance.now() - start) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    await manager.streams.delete(name);
    await connection.close();
    return { perSecond: count / seconds, cpuMs: (user + system) / 1_000 };
  },
});
