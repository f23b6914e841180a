import type { Pool } from "undici";
import type { EngineWorkload } from "../engine-workload.ts";
import type { Rate } from "./engine-calls.ts";
import { awaitEnd, batchGet, submitOne } from "./task-api.ts";

const workflow: EngineWorkload = "foreach-1000";

/** One task after the other, each with a list of `items`. Rejects unless every result is there, in order. */
export async function runLists(pool: Pool, tasks: number, items: number): Promise<Rate> {
  const list = Array.from({ length: items }, (_, n) => ({ n, name: `item ${n % 7}` }));
  const wanted = JSON.stringify(list.map(({ n, name }) => `${n} ${name}`));
  let tookMs = 0;
  for (let at = 0; at < tasks; at++) {
    const id = await submitOne(pool, { workflow, input: { items: list } });
    await awaitEnd(pool, id);
    const [task] = await batchGet(pool, [id]);
    if (task?.state !== "succeeded" || JSON.stringify(task.output) !== wanted) {
      throw new Error(`task ${id} should have ${items} results in order: ${JSON.stringify(task).slice(0, 500)}`);
    }
    tookMs += Date.parse(task.endTime ?? "") - Date.parse(task.createTime);
  }
  return { tasksPerSecond: (tasks / Math.max(1, tookMs)) * 1_000 };
}
