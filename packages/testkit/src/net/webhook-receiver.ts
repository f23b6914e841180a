import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";

export interface ReceivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they were sent. */
  readonly rawHeaders: readonly string[];
  /** The exact bytes. */
  readonly body: Buffer;
}

export interface ReceiverAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** What to answer; undefined when the handler answers, or keeps silent, by itself. */
export type ReceiverHandler = (
  request: ReceivedRequest,
  response: ServerResponse,
) => ReceiverAnswer | undefined | Promise<ReceiverAnswer | undefined>;

export interface WebhookReceiver {
  /** `http://127.0.0.1:<port>/`, where any path is received. */
  readonly url: string;
  readonly port: number;
  /** Everything received so far, in order. */
  readonly requests: readonly ReceivedRequest[];
  /** The next request that no earlier `next()` has answered; rejects after `timeoutMs` (30 s). */
  next(timeoutMs?: number): Promise<ReceivedRequest>;
  /** Answers differently from now on. */
  answer(handler: ReceiverHandler): void;
  stop(): Promise<void>;
}

/** A real HTTP server that records what it is sent; answers 204 unless told otherwise. */
export async function webhookReceiver(
  handler: ReceiverHandler = () => ({ status: 204 }),
  host = "127.0.0.1",
): Promise<WebhookReceiver> {
  let handle = handler;
  const requests: ReceivedRequest[] = [];
  const unread: ReceivedRequest[] = [];
  const waiting: ((request: ReceivedRequest) => void)[] = [];

  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("error", () => {});
    req.on("end", () => {
      const { method = "", url = "", headers, rawHeaders } = req;
      const request: ReceivedRequest = { method, path: url, headers, rawHeaders, body: Buffer.concat(chunks) };
      requests.push(request);
      const reader = waiting.shift();
      if (reader) reader(request);
      else unread.push(request);
      void reply(request, res);
    });
  });
  async function reply(request: ReceivedRequest, res: ServerResponse): Promise<void> {
    try {
      const answer = await handle(request, res);
      if (answer) res.writeHead(answer.status, { ...answer.headers }).end(answer.body);
    } catch (error) {
      res.writeHead(500).end(String(error));
    }
  }
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("the receiver has no port");

  return {
    url: `http://${host}:${at.port}/`,
    port: at.port,
    requests,
    next(timeoutMs = 30_000) {
      const ready = unread.shift();
      if (ready) return Promise.resolve(ready);
      return new Promise((resolve, reject) => {
        const reader = (request: ReceivedRequest): void => {
          clearTimeout(timer);
          resolve(request);
        };
        const timer = setTimeout(() => {
          waiting.splice(waiting.indexOf(reader), 1);
          reject(new Error(`no request came within ${timeoutMs} ms; ${requests.length} came before`));
        }, timeoutMs);
        waiting.push(reader);
      });
    },
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
