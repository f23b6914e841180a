import { createHash } from "node:crypto";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions, Client } from "@connectrpc/connect";
import { LonghaulError } from "@longhaul/core";
import { type Task, TaskSchema } from "@longhaul/proto/task";
import { type TaskService, TaskServiceSubmitRequestSchema } from "@longhaul/proto/task_service";
import { fromNativeJson, oneIdempotencyKey, submitItem, toNativeJson } from "@longhaul/shared";
import type { HeaderReader } from "../auth/api-keys.ts";
import { awaitEnd, hasEnded } from "../intake/await-end.ts";
import type { Submit } from "../intake/submitter.ts";
import { entityTag } from "./entity-tag.ts";
import { maxWaitSeconds, readPreferWait } from "./prefer.ts";
import { isObject, notAnObject } from "./read-request.ts";
import type { SentBody } from "./sent-body.ts";
import type { Answer } from "./write-answer.ts";

export interface SubmitDeps {
  readonly submit: Submit;
  readonly tasks: Pick<Client<typeof TaskService>, "get">;
  readonly newId: () => string;
}

export interface HttpSubmit {
  readonly project: string;
  readonly body: SentBody | undefined;
  readonly header: HeaderReader;
  /** Options of a call that ends when the caller is gone; asked for only when there is something to wait for. */
  readonly callOptions: () => CallOptions;
}

/**
 * `POST /v1/tasks`. The one method that the transcoder does not handle: it is the hot path, so the input goes through as text and never
 * becomes a message.
 */
export async function submitOverHttp(
  { submit, tasks, newId }: SubmitDeps,
  { project, body, header, callOptions }: HttpSubmit,
): Promise<Answer> {
  if (body === undefined)
    throw new LonghaulError("invalid_argument", 'the body is missing: send {"workflow": "...", "input": ...}');
  if (!isObject(body.value)) throw notAnObject();
  const { input = null, ...rest } = body.value;
  const request = fromNativeJson(TaskServiceSubmitRequestSchema, rest);
  const key = oneIdempotencyKey(header("idempotency-key"), request.requestId);
  const preferred = readPreferWait(header("prefer"));
  const waitMs =
    preferred !== undefined ? preferred * 1_000 : request.wait ? Math.min(durationMs(request.wait), maxWaitSeconds * 1_000) : 0;

  const inputText = JSON.stringify(input);
  const inputJson = Buffer.from(inputText);
  const bodyHash = (): Uint8Array => createHash("sha256").update(body.bytes).digest();
  const { task, replayed } = await submit(submitItem(request, { id: newId(), project, inputJson, key, bodyHash }));

  const headers: Record<string, string> = {
    "content-type": "application/json",
    "cache-control": "no-store",
    location: `/v1/tasks/${task.id}`,
  };
  if (replayed) headers["idempotent-replayed"] = "true";
  let latest: Task = task;
  if (waitMs > 0) {
    if (preferred !== undefined) headers["preference-applied"] = `wait=${preferred}`;
    if (!hasEnded(task)) latest = (await awaitEnd(tasks, task.id, waitMs, callOptions())) ?? task;
    if (hasEnded(latest)) return answerOf(200, headers, latest, inputText);
  }
  headers["retry-after"] = "1";
  return answerOf(202, headers, latest, inputText);
}

function answerOf(status: number, headers: Record<string, string>, task: Task, inputText: string): Answer {
  headers["etag"] = entityTag(task.version);
  const text = JSON.stringify(toNativeJson(TaskSchema, task));
  // The scheduler leaves out the input of a new task; it is here as text already. A task is never an empty object.
  return { status, headers, body: task.input ? text : `${text.slice(0, -1)},"input":${inputText}}` };
}
