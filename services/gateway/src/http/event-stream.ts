import type { DescMessage, DescOneof, Message } from "@bufbuild/protobuf";
import { isMessage } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type AnyResponse, toNativeJson } from "@longhaul/shared";

export interface EventStreamOptions {
  /** How often a comment is sent while nothing happens; default 15 s. */
  readonly heartbeatMs?: number;
  /** Told to clients: when to connect again; default 2 s. */
  readonly retryMs?: number;
  /** How long the first event is waited for before the head of the answer goes out, so that a refusal is still a problem; default 1 s. */
  readonly headAfterMs?: number;
  /** How long a reader may take nothing before it is cut off; default 60 s. */
  readonly stallMs?: number;
}

/** Formats the messages of a stream as server-sent events: the oneof's case names the event, the field `id` its id. */
export function eventFormat(desc: DescMessage): (message: Message) => string {
  const [oneof] = desc.oneofs;
  const id = desc.fields.find((field) => field.name === "id");
  if (!oneof || !isOfMessages(oneof)) throw new Error(`${desc.typeName} has no oneof of messages to make events of`);
  return (message) => {
    const view = reflect(desc, message);
    const chosen = view.oneofCase(oneof);
    const value: unknown = chosen && Reflect.get(Reflect.get(message, oneof.localName) ?? {}, "value");
    if (chosen?.fieldKind !== "message" || !isMessage(value)) return "";
    const data = JSON.stringify(toNativeJson(chosen.message, value));
    const eventId = id ? String(view.get(id)) : "";
    return `${eventId === "" ? "" : `id: ${eventId}\n`}event: ${chosen.name}\ndata: ${data}\n\n`;
  };
}

function isOfMessages(oneof: DescOneof): boolean {
  return oneof.fields.every((field) => field.fieldKind === "message");
}

export interface EventSource {
  readonly messages: AsyncIterable<Message>;
  readonly format: (message: Message) => string;
  readonly res: AnyResponse;
  /** Aborts when the reader is gone. */
  readonly gone: AbortSignal;
  readonly isHead: boolean;
  /** Called once before the first byte; what it returns goes into the head. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Writes a stream of messages as server-sent events. Rejects with the stream's error as long as nothing is written; afterwards an error
 * just ends the answer, and the client connects again with the last id it saw. A slow reader is waited for: nothing is read ahead.
 */
export async function writeEvents(
  { messages, format, res, gone, isHead, headers }: EventSource,
  options: EventStreamOptions = {},
): Promise<void> {
  const { heartbeatMs = 15_000, retryMs = 2_000, headAfterMs = 1_000, stallMs = 60_000 } = options;
  const it = messages[Symbol.asyncIterator]();
  let isOpen = false;
  let isBlocked = false;
  const open = (status: number): void => {
    if (isOpen || gone.aborted) return;
    isOpen = true;
    res.writeHead(
      status,
      status === 204
        ? headers
        : {
            ...headers,
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
          },
    );
    if (status !== 204 && !isHead) res.write(`retry: ${retryMs}\n\n`);
  };
  const late = setTimeout(() => open(200), headAfterMs);
  const heartbeat = setInterval(() => {
    if (isOpen && !isBlocked) res.write(": still here\n\n");
  }, heartbeatMs);
  try {
    for (;;) {
      const next = await it.next();
      if (gone.aborted) return;
      if (next.done) {
        // Nothing to tell any more: 204 is what stops an EventSource from connecting again.
        open(204);
        break;
      }
      open(200);
      if (isHead) break;
      const text = format(next.value);
      if (text !== "" && !res.write(text)) {
        isBlocked = true;
        await drained(res, gone, stallMs);
        isBlocked = false;
      }
      if (gone.aborted) return;
    }
    res.end();
  } catch (error) {
    if (!isOpen && !gone.aborted) throw error;
    if (!gone.aborted) res.end(": interrupted, connect again\n\n");
  } finally {
    clearTimeout(late);
    clearInterval(heartbeat);
    // Not awaited: a stream that waits for its next message ends by its signal.
    it.return?.().catch(() => {});
  }
}

/** Resolves when the reader has taken what was written, or is gone; one that takes nothing for too long is cut off. */
function drained(res: AnyResponse, gone: AbortSignal, stallMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      res.off("drain", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(() => {
      res.destroy();
      done();
    }, stallMs);
    res.on("drain", done);
    gone.addEventListener("abort", done, { once: true });
    if (gone.aborted) done();
  });
}
