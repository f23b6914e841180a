import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { hasEnded } from "./src/api.ts";
import { stage } from "./src/stage.ts";
import { solo } from "./src/system.ts";

/** How many tasks are stored before the first and the second look. */
const few = Number(process.env["MEMORY_FEW"] ?? 2_000);
const many = Number(process.env["MEMORY_MANY"] ?? 20_000);
const allowedMiB = 20;

// An idle process of Node keeps garbage until something asks for room: the collector is asked for by a signal.
const collect = `data:text/javascript,${encodeURIComponent("process.on('SIGUSR2', () => { globalThis.gc(); globalThis.gc(); })")}`;
const at = stage(() => solo({ env: { LOG_LEVEL: "warn" }, nodeArgs: ["--expose-gc", "--import", collect] }));

function residentMiB(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1_024;
}

/** The lowest of several looks at an idle process, each after a collection. */
async function idleMiB(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 12; look++) {
    process.kill(pid, "SIGUSR2");
    await pause(250);
    least = Math.min(least, residentMiB(pid));
  }
  return least;
}

async function store(from: number, to: number): Promise<void> {
  let next = from;
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (next < to) {
        const n = next++;
        await at.api.submit({ workflow: "memory", input: { n, text: "x".repeat(1_000) }, labels: { n: String(n) } });
      }
    }),
  );
  for (;;) {
    const [open] = [
      ...(await at.api.call("/v1/tasks?state=queued,running&pageSize=1")).json<{ tasks: { id: string }[] }>().tasks,
    ];
    if (open === undefined) return;
    await at.api.ended(open.id);
  }
}

test.runIf(process.platform === "linux")(
  `resident memory, idle after ${many} tasks stored, is within ${allowedMiB} MiB of that after ${few}`,
  async () => {
    await at.api.put({
      name: "memory",
      nodes: [{ id: "x", kind: "transform", with: { text: "${ input.text }" } }],
      output: "${ nodes.x }",
    });
    const pid = at.system.service("solo").pid();
    await store(0, few);
    const before = await idleMiB(pid);
    await store(few, many);
    const after = await idleMiB(pid);
    const [last] = (await at.api.call("/v1/tasks?pageSize=1")).json<{ tasks: Parameters<typeof hasEnded>[0][] }>().tasks;
    expect(last && hasEnded(last)).toBe(true);
    expect(after - before, `${before.toFixed(1)} MiB before, ${after.toFixed(1)} MiB after`).toBeLessThan(allowedMiB);
  },
);
