import type { Pool } from "undici";
import { texts } from "../workload.ts";
import { jsonHeaders } from "./submit-all.ts";

/** Of a task as the API answers it, what is looked at here. */
interface TaskView {
  readonly id: string;
  readonly state: string;
  readonly output?: unknown;
  readonly createTime: string;
  readonly endTime?: string;
}

/** Of a node run. */
interface NodeView {
  readonly path: string;
  readonly state: string;
  readonly endTime?: string;
}

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly etag: string | undefined;
}

const isOpen: ReadonlySet<string> = new Set(["queued", "running", "waiting"]);

/** Resolves when the task has ended: one long poll after the other, each until something changed. */
export async function awaitEnd(pool: Pool, id: string): Promise<void> {
  let etag: string | undefined;
  for (;;) {
    const headers = etag === undefined ? {} : { "if-none-match": etag, prefer: "wait=30" };
    const reply = await call(pool, "GET", `/v1/tasks/${id}`, undefined, headers);
    if (reply.status === 200 && !isOpen.has(taskIn(reply.text).state)) return;
    if (reply.status !== 200 && reply.status !== 304) throw new Error(`GET answered ${reply.status}: ${reply.text}`);
    etag = reply.etag ?? etag;
  }
}

const batch = 250;

/** Reads every task and compares its output with what went in; answers the last end, in milliseconds since the epoch. */
export async function verifyAll(pool: Pool, ids: readonly string[]): Promise<number> {
  let lastEnd = 0;
  for (let from = 0; from < ids.length; from += batch) {
    const wanted = ids.slice(from, from + batch);
    const found = new Map((await batchGet(pool, wanted)).map((task) => [task.id, task]));
    for (const [at, id] of wanted.entries()) {
      let task = found.get(id);
      if (task !== undefined && isOpen.has(task.state)) {
        await awaitEnd(pool, id);
        [task] = await batchGet(pool, [id]);
      }
      const text = texts[(from + at) % texts.length];
      if (task?.state !== "succeeded" || JSON.stringify(task.output) !== JSON.stringify({ text })) {
        throw new Error(`task ${id} should have given back its input: ${JSON.stringify(task)}`);
      }
      lastEnd = Math.max(lastEnd, Date.parse(task.endTime ?? ""));
    }
  }
  return lastEnd;
}

/** Stores a definition. */
export async function putWorkflow(pool: Pool, name: string, definition: object): Promise<void> {
  const { status, text } = await call(pool, "PUT", `/v1/workflows/${name}`, definition);
  if (status !== 200) throw new Error(`PUT of ${name} answered ${status}: ${text}`);
}

/** Submits one task and answers its id. Rejects when it is not accepted. */
export async function submitOne(pool: Pool, task: object): Promise<string> {
  const { status, text } = await call(pool, "POST", "/v1/tasks", task);
  if (status !== 202) throw new Error(`a submit was answered ${status}: ${text}`);
  return taskIn(text).id;
}

/** When a node run ended, in milliseconds since the epoch. Rejects unless it succeeded. */
export async function endOfNode(pool: Pool, id: string, path: string): Promise<number> {
  const { status, text } = await call(pool, "GET", `/v1/tasks/${id}/nodes`);
  if (status !== 200) throw new Error(`the nodes of ${id} were answered ${status}: ${text}`);
  const { nodes }: { readonly nodes: readonly NodeView[] } = JSON.parse(text);
  const run = nodes.find((one) => one.path === path);
  if (run?.state !== "succeeded") throw new Error(`${path} of task ${id} should have succeeded: ${text.slice(0, 500)}`);
  return Date.parse(run.endTime ?? "");
}

/** What is stored of up to 250 tasks. */
export async function batchGet(pool: Pool, ids: readonly string[]): Promise<readonly TaskView[]> {
  const { status, text } = await call(pool, "POST", "/v1/tasks:batchGet", { ids });
  if (status !== 200) throw new Error(`batchGet answered ${status}: ${text}`);
  const { tasks }: { readonly tasks: readonly TaskView[] } = JSON.parse(text);
  return tasks;
}

function taskIn(text: string): TaskView {
  return JSON.parse(text);
}

async function call(pool: Pool, method: "GET" | "PUT" | "POST", path: string, body?: object, more = {}): Promise<Reply> {
  const headers = body === undefined ? more : { ...jsonHeaders, ...more };
  const answer = await pool.request({ method, path, headers, body: body === undefined ? null : JSON.stringify(body) });
  const { etag } = answer.headers;
  return { status: answer.statusCode, text: await answer.body.text(), etag: typeof etag === "string" ? etag : undefined };
}
