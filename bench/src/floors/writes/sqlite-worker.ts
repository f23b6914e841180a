// Floor: the writes of a task in SQLite, 64 per transaction, one transaction after the other, nothing else.
import { serveWorker } from "../../process/worker.ts";
import { texts } from "../../workload.ts";
import type { LoopCalls } from "../server-calls.ts";
import { floorSql, openFloorFile } from "../sqlite-file.ts";
import { uuidV7 } from "../uuid.ts";

serveWorker<LoopCalls>({
  async run({ count, nodes, batch, env }) {
    const db = openFloorFile(env["file"] ?? "");
    const [begin, commit] = [db.prepare("BEGIN IMMEDIATE"), db.prepare("COMMIT")];
    const insertTask = db.prepare(floorSql.insertTask);
    const claimTask = db.prepare(floorSql.claimTask);
    const finishTask = db.prepare(floorSql.finishTask);
    const insertNode = db.prepare(floorSql.insertNode);
    const cpu = process.cpuUsage();
    const start = performance.now();
    const head = JSON.stringify({ version: 1, attempt: 1, tries: 1, startTime: Date.now() });

    const commitEach = (ids: readonly string[], apply: (id: string, at: number) => void): void => {
      begin.run();
      ids.forEach(apply);
      commit.run();
    };
    for (let from = 0; from < count; from += batch) {
      const ids = Array.from({ length: Math.min(batch, count - from) }, uuidV7);
      const now = Date.now();
      const jsonOf = (at: number): string => JSON.stringify({ text: texts[at % texts.length] });
      commitEach(ids, (id, at) => insertTask.run([id, "echo", now, now + 30_000, head, jsonOf(at)]));
      commitEach(ids, (id) => claimTask.run([now + 30_000, head, id, 0]));
      commitEach(ids, (id, at) => {
        finishTask.run([head, jsonOf(at), id, 1]);
        for (let i = 1; i <= nodes; i++) insertNode.run([id, `n${i}`, head, jsonOf(at)]);
      });
    }
    const seconds = (performance.now() - start) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    db.close();
    return { perSecond: count / seconds, cpuMs: (user + system) / 1_000 };
  },
});
