import { Agent, type Dispatcher, request } from "undici";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A task as the public API shows it; only what tests look at. */
export interface TaskView {
  readonly id: string;
  readonly project: string;
  readonly workflow: string;
  readonly revision: number;
  readonly state: "queued" | "running" | "waiting" | "succeeded" | "failed" | "cancelled" | "timed_out";
  readonly input: Json;
  readonly output?: Json;
  readonly error?: { readonly code: string; readonly message: string; readonly node: string };
  readonly attempt: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly createTime: string;
  readonly startTime?: string;
  readonly endTime?: string;
  readonly notBefore?: string;
  readonly deadline: string;
  readonly waitingFor?: { readonly kind: string; readonly reason: string };
  readonly delivery?: { readonly state: string };
  readonly links: Readonly<Record<string, string>>;
  readonly retryOf: string;
  readonly version: number;
}

export interface NodeView {
  readonly path: string;
  readonly kind: string;
  readonly state: string;
  readonly attempt: number;
  readonly output?: Json;
  readonly error?: { readonly code: string };
}

export interface DeliveryView {
  readonly id: string;
  readonly taskId: string;
  readonly event: string;
  readonly state: string;
  readonly attempts: readonly { readonly number: number; readonly status: number; readonly error: string }[];
}

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly errors?: readonly {
    readonly pointer: string;
    readonly detail: string;
    readonly node?: string;
    readonly mend?: string;
  }[];
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; throws when it is none. */
  json<T = Json>(): T;
}

export interface Sent {
  readonly method?: Dispatcher.HttpMethod;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, unless it is text or bytes, which go as they are. */
  readonly body?: unknown;
}

export interface SseEvent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: Json;
}

/** A caller of the public API, with connections of its own. */
export interface Api {
  readonly url: string;
  call(path: string, sent?: Sent): Promise<Reply>;
  /** Stores a workflow; throws unless that worked. */
  put(definition: { readonly name: string } & Record<string, unknown>): Promise<void>;
  /** Submits; throws unless it was accepted. */
  submit(body: Record<string, unknown>, headers?: Readonly<Record<string, string>>): Promise<TaskView>;
  get(id: string): Promise<TaskView>;
  /** Waits by long polls until the task has ended. */
  ended(id: string, withinMs?: number): Promise<TaskView>;
  /** Waits by long polls until `is` holds of the task. */
  when(id: string, is: (task: TaskView) => boolean, withinMs?: number): Promise<TaskView>;
  nodes(id: string): Promise<readonly NodeView[]>;
  deliveries(id: string): Promise<readonly DeliveryView[]>;
  /** Every task of the project that the filter finds, over all pages. */
  list(query?: string): Promise<readonly TaskView[]>;
  events(id: string, lastEventId?: string): AsyncGenerator<SseEvent>;
  close(): Promise<void>;
}

const endedStates: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "timed_out"]);

export function hasEnded(task: TaskView): boolean {
  return endedStates.has(task.state);
}

export function api(url: string, { connections = 64, key }: { readonly connections?: number; readonly key?: string } = {}): Api {
  const auth: Readonly<Record<string, string>> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const dispatcher = new Agent({ connections, headersTimeout: 90_000, bodyTimeout: 90_000, keepAliveTimeout: 3_000 });

  async function call(path: string, { method, headers = {}, body }: Sent = {}): Promise<Reply> {
    const isRaw = typeof body === "string" || body instanceof Uint8Array;
    const answer = await request(`${url}${path}`, {
      dispatcher,
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { ...(body === undefined || isRaw ? {} : { "content-type": "application/json" }), ...auth, ...headers },
      ...(body === undefined ? {} : { body: isRaw ? body : JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, text, json: <T>() => JSON.parse(text) as T };
  }

  async function expecting<T>(status: readonly number[], path: string, sent?: Sent): Promise<T> {
    const reply = await call(path, sent);
    if (!status.includes(reply.status)) throw new Error(`${path} answered ${reply.status}: ${reply.text.slice(0, 2_000)}`);
    return reply.json<T>();
  }

  async function allPages<T>(path: string, name: string): Promise<readonly T[]> {
    const found: T[] = [];
    for (let token = ""; ; ) {
      const page: Record<string, readonly T[]> & { readonly nextPageToken?: never } = await expecting(
        [200],
        token === "" ? path : `${path}${path.includes("?") ? "&" : "?"}pageToken=${encodeURIComponent(token)}`,
      );
      found.push(...(page[name] ?? []));
      token = String(Reflect.get(page, "nextPageToken") ?? "");
      if (token === "") return found;
    }
  }

  const self: Api = {
    url,
    call,
    async put(definition) {
      await expecting([200], `/v1/workflows/${definition.name}`, { method: "PUT", body: definition });
    },
    submit: (body, headers = {}) => expecting<TaskView>([200, 202], "/v1/tasks", { body, headers }),
    get: (id) => expecting<TaskView>([200], `/v1/tasks/${id}`),
    ended: (id, withinMs) => self.when(id, hasEnded, withinMs),
    async when(id, is, withinMs = 60_000) {
      const end = performance.now() + withinMs;
      let etag = "";
      for (;;) {
        const left = end - performance.now();
        const wait = Math.max(1, Math.min(30, Math.ceil(left / 1_000)));
        const reply = await call(`/v1/tasks/${id}`, {
          headers: etag === "" ? {} : { "if-none-match": etag, prefer: `wait=${wait}` },
        });
        if (reply.status === 200) {
          const task = reply.json<TaskView>();
          if (is(task)) return task;
          etag = String(reply.headers["etag"]);
        } else if (reply.status !== 304) throw new Error(`task ${id} answered ${reply.status}: ${reply.text}`);
        if (left <= 0)
          throw new Error(`task ${id} did not get there within ${withinMs} ms: ${(await call(`/v1/tasks/${id}`)).text}`);
      }
    },
    nodes: (id) => allPages<NodeView>(`/v1/tasks/${id}/nodes`, "nodes"),
    deliveries: (id) => allPages<DeliveryView>(`/v1/tasks/${id}/deliveries`, "deliveries"),
    list: (query = "") => allPages<TaskView>(`/v1/tasks${query === "" ? "" : `?${query}`}`, "tasks"),
    async *events(id, lastEventId) {
      const answer = await request(`${url}/v1/tasks/${id}/events`, {
        dispatcher,
        headers: { accept: "text/event-stream", ...auth, ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) },
      });
      if (answer.statusCode !== 200) throw new Error(`the stream answered ${answer.statusCode}: ${await answer.body.text()}`);
      let held = "";
      answer.body.setEncoding("utf8");
      for await (const chunk of answer.body) {
        held += String(chunk);
        for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
          const event = parseEvent(held.slice(0, end));
          held = held.slice(end + 2);
          if (event) yield event;
        }
      }
    },
    close: () => dispatcher.destroy(),
  };
  return self;
}

function parseEvent(block: string): SseEvent | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const cut = line.indexOf(":");
    if (cut > 0) fields.set(line.slice(0, cut), line.slice(cut + 1).trimStart());
  }
  const data = fields.get("data");
  return data === undefined ? undefined : { id: fields.get("id"), event: fields.get("event") ?? "", data: JSON.parse(data) };
}
