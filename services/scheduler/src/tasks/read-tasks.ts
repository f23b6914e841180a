import type { PayloadStore, Task as StoredTask } from "@longhaul/core";
import type { Task } from "@longhaul/proto/task";
import { readPayloads } from "./payloads.ts";
import { taskMessage } from "./task-message.ts";

/** Stored tasks as the API shows them, with their values up to `maxBytes` of large ones together. */
export async function showTasks(payloads: PayloadStore, tasks: readonly StoredTask[], maxBytes: number): Promise<Task[]> {
  const values = await readPayloads(
    payloads,
    tasks.flatMap((task) => [task.input, task.state === "succeeded" ? task.output : undefined]),
    maxBytes,
    "left out",
  );
  return tasks.map((task, i) => taskMessage(task, { input: values[2 * i], output: values[2 * i + 1] }));
}

/** One stored task as the API shows it, with its values. */
export async function showTask(payloads: PayloadStore, task: StoredTask): Promise<Task> {
  const [input, output] = await readPayloads(
    payloads,
    [task.input, task.state === "succeeded" ? task.output : undefined],
    Number.POSITIVE_INFINITY,
  );
  return taskMessage(task, { input, output });
}
