import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";

/** What a chat completion asks, as it came. */
export interface ModelRequest {
  readonly path: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** The parsed body. */
  readonly body: ChatBody;
}

export interface ChatBody {
  readonly model?: string;
  readonly stream?: boolean;
  readonly messages?: readonly { readonly role: string; readonly content: unknown; readonly name?: string }[];
  readonly response_format?: {
    readonly type: string;
    readonly json_schema?: { readonly schema: unknown; readonly strict?: boolean };
  };
  readonly [field: string]: unknown;
}

/** How the server answers one request. */
export type ModelAnswer =
  /** A completion, in the given pieces. */
  | {
      readonly kind: "text";
      readonly pieces: readonly string[];
      /** `stop` if not given. */
      readonly finishReason?: string;
      /** False leaves the usage out; counted from the pieces if not given. */
      readonly usage?: false | { readonly input: number; readonly output: number };
      /** Resolves when the piece at this index may go out; the client has read what came before by then, or not. */
      readonly before?: (index: number) => Promise<void>;
      /** True answers in one JSON document, whatever was asked. */
      readonly inOne?: boolean;
    }
  /** The model refuses, by its own words. */
  | { readonly kind: "refusal"; readonly text: string }
  /** A status that is not 200. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** An object goes out as JSON. */
      readonly body?: unknown;
    }
  /** Some pieces, then the connection breaks, or ends as if all was said. */
  | { readonly kind: "cut"; readonly pieces: readonly string[]; readonly how: "break" | "end" }
  /** Some pieces, then an error as an event. */
  | { readonly kind: "late-error"; readonly pieces: readonly string[]; readonly error: unknown }
  /** A byte now and then, for ever. */
  | { readonly kind: "drip"; readonly everyMs: number }
  /** Exactly these bytes with this content type. */
  | { readonly kind: "raw"; readonly contentType: string; readonly body: string }
  /** The head of an answer never comes. */
  | { readonly kind: "silence" };

export type ModelHandler = (request: ModelRequest) => ModelAnswer | Promise<ModelAnswer>;

export interface ModelServer {
  /** `http://127.0.0.1:<port>/v1`, as a connection takes it. */
  readonly baseUrl: string;
  /** Everything asked so far, in order. */
  readonly requests: readonly ModelRequest[];
  /** Requests that are being answered, and the most there were at a time. */
  readonly load: { readonly now: number; readonly most: number };
  /** Answers differently from now on. */
  answer(handler: ModelHandler): void;
  stop(): Promise<void>;
}

/** A server that speaks the wire of OpenAI's chat completions, streaming included; echoes the last message unless told otherwise. */
export async function modelServer(handler: ModelHandler = echo, port = 0): Promise<ModelServer> {
  let handle = handler;
  const requests: ModelRequest[] = [];
  const load = { now: 0, most: 0 };

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method, url = "", headers } = incoming;
    if (method !== "POST" || !url.endsWith("/chat/completions")) {
      json(response, 404, { error: { message: `Invalid URL (${method} ${url})`, type: "invalid_request_error" } });
      return;
    }
    const body: ChatBody = JSON.parse(Buffer.concat(chunks).toString() || "{}");
    const request: ModelRequest = { path: url, headers, body };
    requests.push(request);
    load.now++;
    load.most = Math.max(load.most, load.now);
    let isOver = false;
    const over = () => {
      if (!isOver) load.now--;
      isOver = true;
    };
    response.once("close", over);
    await give(await handle(request), body, response, over);
  }

  const server = createServer((incoming, response) => void serve(incoming, response).catch(() => response.destroy()));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("the server has no port");
  return {
    baseUrl: `http://127.0.0.1:${at.port}/v1`,
    requests,
    load,
    answer(next) {
      handle = next;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function echo({ body }: ModelRequest): ModelAnswer {
  const content = body.messages?.at(-1)?.content;
  const text = typeof content === "string" ? content : JSON.stringify(content ?? "");
  return { kind: "text", pieces: text.match(/\S+\s*|\s+/g) ?? [""] };
}

async function give(answer: ModelAnswer, body: ChatBody, response: ServerResponse, over: () => void): Promise<void> {
  switch (answer.kind) {
    case "text":
      if (answer.inOne === true || body.stream !== true) inOne(answer, body, response);
      else await streamed(answer, body, response, over);
      return;
    case "refusal":
      begin(response);
      event(response, chunkOf(body, { role: "assistant", refusal: answer.text }));
      event(response, chunkOf(body, {}, "stop"));
      response.end("data: [DONE]\n\n");
      return;
    case "status":
      response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
      response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {}));
      return;
    case "cut":
      begin(response);
      for (const piece of answer.pieces) event(response, chunkOf(body, { content: piece }));
      if (answer.how === "end") response.end();
      // What was written goes out first.
      else response.write(": last\n\n", () => response.destroy());
      return;
    case "late-error":
      begin(response);
      for (const piece of answer.pieces) event(response, chunkOf(body, { content: piece }));
      event(response, { error: answer.error });
      response.end();
      return;
    case "drip": {
      begin(response);
      const timer = setInterval(() => response.write(":"), answer.everyMs);
      response.once("close", () => clearInterval(timer));
      return;
    }
    case "raw":
      response.writeHead(200, { "content-type": answer.contentType }).end(answer.body);
      return;
    case "silence":
      return;
  }
}

type TextAnswer = Extract<ModelAnswer, { kind: "text" }>;

async function streamed(answer: TextAnswer, body: ChatBody, response: ServerResponse, over: () => void): Promise<void> {
  begin(response);
  event(response, chunkOf(body, { role: "assistant", content: "" }));
  for (const [index, piece] of answer.pieces.entries()) {
    await answer.before?.(index);
    if (response.destroyed) return;
    event(response, chunkOf(body, { content: piece }));
  }
  await answer.before?.(answer.pieces.length);
  event(response, chunkOf(body, {}, answer.finishReason ?? "stop"));
  if (answer.usage !== false) event(response, Object.assign(chunkOf(body), { choices: [], usage: usageOf(answer, body) }));
  // Whoever reads the end may ask again at once.
  over();
  response.end("data: [DONE]\n\n");
}

function inOne(answer: TextAnswer, body: ChatBody, response: ServerResponse): void {
  const message = { role: "assistant", content: answer.pieces.join(""), refusal: null };
  json(response, 200, {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: body.model ?? "",
    choices: [{ index: 0, message, finish_reason: answer.finishReason ?? "stop", logprobs: null }],
    ...(answer.usage === false ? {} : { usage: usageOf(answer, body) }),
  });
}

function usageOf({ usage, pieces }: TextAnswer, { messages = [] }: ChatBody) {
  const input = usage === undefined || usage === false ? messages.length : usage.input;
  const output = usage === undefined || usage === false ? pieces.length : usage.output;
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}

function chunkOf({ model = "" }: ChatBody, delta: object = {}, finishReason: string | null = null): object {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1,
    model,
    choices: [{ index: 0, delta, finish_reason: finishReason, logprobs: null }],
  };
}

function begin(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  response.flushHeaders();
}

function event(response: ServerResponse, data: object): void {
  response.write(`data: ${JSON.stringify(data)}\n\n`);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
