import { nodeRun, queued, running } from "../contract/builders.ts";
import { openSqlite } from "./open-sqlite.ts";

// The other process of durability.test.ts: `hold` opens the file and stays; `write-*` writes for ever and says what was answered.
const [role = "", file = ""] = process.argv.slice(2);
const stores = openSqlite({ file });

if (role === "hold") {
  process.stdout.write("open\n");
  setInterval(() => {}, 60_000);
} else {
  await Promise.all(Array.from({ length: 32 }, (_, lane) => writeForEver(lane)));
}

async function writeForEver(lane: number): Promise<never> {
  for (let count = 0; ; count++) {
    const task = queued({ id: `${role}.${lane}.${count}`, text: "to be killed" });
    await stores.payloads.put([{ key: task.id, json: JSON.stringify(task.id) }]);
    await stores.tasks.insert([task]);
    await stores.tasks.replace([{ next: running({ id: task.id }), rev: 0, nodeRuns: [nodeRun(task)] }]);
    process.stdout.write(`${task.id}\n`);
  }
}
