import { createParser, type EventSourceMessage } from "eventsource-parser";
import { CliError, exits } from "../cli-error.ts";
import type { World } from "../world.ts";
import { type Api, Unreachable } from "./api.ts";
import { type Json, parseJson } from "./json.ts";
import { route } from "./route.ts";

export interface TaskEvent {
  /** `task`, `node`, `progress` or `end`. */
  readonly event: string;
  /** Empty for progress. */
  readonly id: string;
  readonly data: Json;
}

const reconnectMs = 2_000;
const maxFailures = 15;

/**
 * The events of a task until it has ended; `end` is the last one. A stream that breaks is opened again behind the last event seen. Ends
 * without `end` where the server has nothing more to tell. Throws when the first connection, or fifteen in a row, fail.
 */
export async function* taskEvents(world: World, api: Api, id: string): AsyncGenerator<TaskEvent> {
  const path = route`/v1/tasks/${id}/events`;
  let lastId = "";
  let hasBegun = false;
  for (let failures = 0; ; ) {
    try {
      const body = await api.stream(path, lastId === "" ? {} : { "last-event-id": lastId });
      if (!body) return;
      hasBegun = true;
      for await (const event of eventsOf(world, body)) {
        failures = 0;
        if (event.id !== "") lastId = event.id;
        yield event;
        if (event.event === "end") return;
      }
    } catch (error) {
      if (!(error instanceof Unreachable) || !hasBegun || failures >= maxFailures) throw error;
    }
    failures++;
    await world.pause(reconnectMs);
  }
}

/** Reads events until the stream ends or breaks: both only mean that there may be more. */
async function* eventsOf(world: World, body: ReadableStream<Uint8Array>): AsyncGenerator<TaskEvent> {
  const got: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => void got.push(event) });
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const chunk = await reader.read().catch(() => undefined);
      if (world.quit.aborted) throw new CliError(exits.interrupted, "interrupted");
      if (!chunk || chunk.done) return;
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      for (const { event = "message", id = "", data } of got.splice(0)) yield { event, id, data: parseJson(data) };
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
