import { type EndedTask, LonghaulError, type PayloadStore } from "@longhaul/core";
import { TaskSchema } from "@longhaul/proto/task";
import { toNativeJson } from "@longhaul/shared";
import { readPayloads } from "./payloads.ts";
import { taskMessage } from "./task-message.ts";

/** Values of the task up to this size travel in the message; larger ones are read by its `links.self`. */
const inlineBytes = 262_144;

/** The exact bytes to post: `{ type, timestamp, data: <task as GET> }`. */
export async function webhookBody(payloads: PayloadStore, task: EndedTask, event: string): Promise<Uint8Array> {
  const output = task.state === "succeeded" ? task.output : undefined;
  const [outputJson, inputJson] = await readPayloads(payloads, [output, task.input], inlineBytes).catch((why: unknown) => {
    throw new LonghaulError("unavailable", "the task's values could not be read", { cause: why });
  });
  const data = toNativeJson(TaskSchema, taskMessage(task, { input: inputJson, output: outputJson }));
  const body = { type: event, timestamp: new Date(task.endTime).toISOString(), data };
  return new TextEncoder().encode(JSON.stringify(body));
}
