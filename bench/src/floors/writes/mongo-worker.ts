// Floor: the writes of a task in MongoDB, in batches, with four batches under way, nothing else.
import { serveWorker } from "../../process/worker.ts";
import { texts } from "../../workload.ts";
import { mongoWrites } from "../mongo-writes.ts";
import type { LoopCalls } from "../server-calls.ts";
import { uuidV7 } from "../uuid.ts";

const underWay = 4;

serveWorker<LoopCalls>({
  async run({ count, nodes, batch, env }) {
    const writes = await mongoWrites(env["url"] ?? "");
    const cpu = process.cpuUsage();
    const start = performance.now();
    let left = count;

    async function work(): Promise<void> {
      while (left > 0) {
        const size = Math.min(batch, left);
        left -= size;
        const tasks = Array.from({ length: size }, (_, at) => {
          const input = JSON.stringify({ text: texts[at % texts.length] });
          return { id: uuidV7(), workflow: "echo", input, head: { version: 3, attempt: 1, endTime: Date.now() } };
        });
        await writes.insert(tasks);
        await writes.claim(tasks.map((task) => task.id));
        await writes.finish(
          tasks.map(({ id, head, input }) => ({ id, head, outputs: Array.from({ length: nodes }, () => input) })),
        );
      }
    }
    await Promise.all(Array.from({ length: underWay }, work));
    const seconds = (performance.now() - start) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    await writes.close();
    return { perSecond: count / seconds, cpuMs: (user + system) / 1_000 };
  },
});
