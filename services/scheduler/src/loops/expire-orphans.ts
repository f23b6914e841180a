import { partitionCount, type TaskStore, wakeAt } from "@longhaul/core";
import type { Ledger } from "../ledger/ledger.ts";

const batch = 256;

/** For solo: whatever was running when the process began had its executor die with the process before. Answers how many there were. */
export async function expireOrphans(store: TaskStore, ledger: Ledger, horizon: number): Promise<number> {
  const all = Array.from({ length: partitionCount }, (_, partition) => partition);
  let after: { readonly wakeAt: number; readonly id: string } | undefined;
  let count = 0;
  for (;;) {
    const page = await store.listDue(all, horizon, batch, after);
    const running = page.filter(({ task }) => task.state === "running");
    await ledger.apply(
      running.map(({ task }) => ({ key: { project: task.project, id: task.id }, event: { kind: "orphan", room: false } })),
    );
    count += running.length;
    const last = page.at(-1);
    if (last === undefined || page.length < batch) return count;
    after = { wakeAt: wakeAt(last.task) ?? 0, id: last.task.id };
  }
}
