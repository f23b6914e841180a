import { type Outbound, OutboundError } from "@longhaul/core";
import type { Connection } from "../connection.ts";

/** Bytes of an answer; a token streamed alone takes about 300. */
const maxAnswerBytes = 64 * 1024 * 1024;
/** Of an answer that says what is wrong, no more is looked at. */
const maxErrorBytes = 65_536;
/** Bytes of one event. Whoever sends more without an end would fill the memory of a parser that waits for it. */
const maxEventBytes = 1_048_576;

/** `fetch` as the client library calls it. */
export type Fetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>;

export interface GuardedFetch {
  readonly fetch: Fetch;
  /** What went wrong underneath, which the library wraps or rewords. */
  fault(): OutboundError | undefined;
  /** The answer, where its status is not 2xx. */
  refusal(): Refusal | undefined;
}

export interface Refusal {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The beginning of its body. */
  readonly text: string;
}

/**
 * A `fetch` for one call: it goes through the guarded outbound, with the connection's key and headers and nothing that the library would add of its
 * own or of the environment. It follows no redirect.
 */
export function guardedFetch(
  outbound: Pick<Outbound, "stream">,
  { apiKey, headers }: Pick<Connection, "apiKey" | "headers">,
  call: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly operationKey: string },
): GuardedFetch {
  let fault: OutboundError | undefined;
  let refusal: Refusal | undefined;
  const noted = (error: unknown): unknown => {
    if (error instanceof OutboundError) fault = error;
    return error;
  };
  return {
    fault: () => fault,
    refusal: () => refusal,
    async fetch(url, init) {
      const body = init?.body;
      const answer = await outbound
        .stream({
          method: init?.method ?? "GET",
          url: String(url),
          headers: {
            ...headers,
            accept: "text/event-stream, application/json",
            "content-type": "application/json",
            "idempotency-key": call.operationKey,
            ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
          },
          ...(typeof body === "string" ? { body } : {}),
          timeoutMs: call.timeoutMs,
          maxResponseBytes: maxAnswerBytes,
          signal: call.signal,
        })
        .catch((error: unknown) => {
          throw noted(error);
        });
      const { status } = answer;
      if (status >= 200 && status < 300) return new Response(streamOf(answer.body, noted), { headers: { ...answer.headers } });
      const text = await beginning(answer.body).catch(() => "");
      refusal = { status, headers: answer.headers, text };
      // The library has to be told of something that is an answer to it; what there is to know is noted.
      return new Response("{}", { status: 400 });
    },
  };
}

type Pieces = AsyncIterable<Uint8Array>;

function streamOf(body: Pieces, noted: (error: unknown) => unknown): ReadableStream<Uint8Array> {
  const pieces = bounded(body);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        throw noted(error);
      }
    },
    async cancel() {
      await pieces.return();
    },
  });
}

/** Fails where an event grows too large. */
async function* bounded(body: Pieces): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0;
  for await (const piece of body) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    const end = Math.max(bytes.lastIndexOf("\n\n"), bytes.lastIndexOf("\r\n\r\n"), bytes.lastIndexOf("\r\r"));
    length = end < 0 ? length + bytes.length : bytes.length - end;
    if (length > maxEventBytes && end < 0)
      throw new OutboundError("response_too_large", `the answer has an event of more than ${maxEventBytes} bytes`);
    yield piece;
  }
}

/** The beginning and no more. */
async function beginning(body: Pieces): Promise<string> {
  const kept: Uint8Array[] = [];
  let left = maxErrorBytes;
  for await (const piece of body) {
    kept.push(piece.subarray(0, left));
    left -= piece.length;
    if (left <= 0) break;
  }
  return Buffer.concat(kept).toString();
}
