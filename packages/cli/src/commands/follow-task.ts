import { CliError, type Exit, exits } from "../cli-error.ts";
import { awaitEnd, hasEnded } from "../client/await-end.ts";
import { at, type Json, textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { type TaskEvent, taskEvents } from "../client/task-events.ts";
import { cleanText } from "../output/clean-text.ts";
import { taskText, whyOf } from "../output/task-text.ts";
import type { Session } from "../session.ts";

export interface FollowOptions {
  readonly wait?: true | undefined;
  readonly follow?: true | undefined;
  /** Milliseconds. */
  readonly timeout?: number | undefined;
}

/** Shows a task that was just made, at once or when it has ended. */
export async function showNewTask(session: Session, task: Json, { wait, follow, timeout }: FollowOptions): Promise<Exit> {
  const id = textAt(task, "id");
  if (!wait && !follow) {
    session.show.result(task, () => taskText(session.show, task));
    return exits.ok;
  }
  session.show.note(`task ${id} is accepted`);
  return follow ? followTask(session, id) : waitForTask(session, id, timeout);
}

/** Waits until the task has ended and shows it. */
export async function waitForTask(
  { world, api, show }: Session,
  id: string,
  timeoutMs = Number.POSITIVE_INFINITY,
): Promise<Exit> {
  const task = await whileItGoesOn(id, () => awaitEnd(world, api, id, timeoutMs));
  show.result(task, () => taskText(show, task));
  if (!hasEnded(task)) show.note(`not ended in time; it goes on: longhaul get ${id} --wait`);
  return exitOf(task);
}

/** Shows what happens to a task as it happens, until it has ended. */
export async function followTask(session: Session, id: string): Promise<Exit> {
  const { world, api, show } = session;
  const tellers = { partial: new Map<string, string>() };
  return whileItGoesOn(id, async () => {
    for await (const event of taskEvents(world, api, id)) {
      const { event: kind, id: eventId, data } = event;
      show.line({ event: kind, id: eventId, data }, () => eventText(session, event, tellers.partial));
      if (kind === "end") return exitOf(data);
    }
    // It had ended before, and there was nothing more to tell.
    const task = await api.call("GET", route`/v1/tasks/${id}`);
    show.line({ event: "end", id: "", data: task }, () => taskText(show, task));
    return exitOf(task);
  });
}

/** 0 when it succeeded, 1 when it ended otherwise, 3 when it has not ended. */
export function exitOf(task: Json): Exit {
  if (!hasEnded(task)) return exits.incomplete;
  return textAt(task, "state") === "succeeded" ? exits.ok : exits.negative;
}

/** Who stops looking should know that the task does not stop. */
async function whileItGoesOn<T>(id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CliError) || (error.exit !== exits.interrupted && error.exit !== exits.unreachable)) throw error;
    throw new CliError(error.exit, `${error.message}\n  Task ${id} is kept and goes on: longhaul watch ${id}`, { cause: error });
  }
}

/** The lines of an event. What a node says comes in pieces, and is shown by whole lines. */
function eventText({ show }: Session, { event, data }: TaskEvent, partial: Map<string, string>): string {
  switch (event) {
    case "progress": {
      const node = textAt(data, "node");
      const delta = at(data, "delta");
      const text = (partial.get(node) ?? "") + (typeof delta === "string" ? delta : `${JSON.stringify(delta)}\n`);
      const lines = text.split("\n");
      partial.set(node, lines.pop() ?? "");
      return lines.map((line) => saidLine(node, line)).join("\n");
    }
    case "node": {
      const node = textAt(data, "path");
      const rest = partial.get(node) ?? "";
      partial.delete(node);
      const message = textAt(data, "error", "message");
      const line = `${cleanText(node)}  ${show.paint.state(cleanText(textAt(data, "state")))}${message === "" ? "" : `  ${cleanText(message)}`}`;
      return rest === "" ? line : `${saidLine(node, rest)}\n${line}`;
    }
    case "end":
      return taskText(show, data);
    default: {
      const why = whyOf(data);
      return `task  ${show.paint.state(cleanText(textAt(data, "state")))}${why === "" ? "" : `  ${cleanText(why)}`}`;
    }
  }
}

function saidLine(node: string, text: string): string {
  return `${cleanText(node)}  | ${cleanText(text)}`;
}
