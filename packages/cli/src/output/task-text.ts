import { at, isObject, type Json, textAt } from "../client/json.ts";
import type { Printer } from "./printer.ts";
import { showTime } from "./show-time.ts";
import type { Column } from "./table.ts";

export const taskColumns: readonly Column[] = [
  { title: "ID", of: (task) => textAt(task, "id") },
  { title: "STATE", of: (task) => textAt(task, "state"), kind: "state" },
  { title: "WORKFLOW", of: (task) => `${textAt(task, "workflow")}@${textAt(task, "revision")}` },
  { title: "CREATED", of: (task) => showTime(textAt(task, "createTime")) },
  { title: "WHY", of: whyOf },
];

/** Why it failed, or what it waits for, in a sentence. */
export function whyOf(task: Json): string {
  const node = textAt(task, "error", "node");
  const message = textAt(task, "error", "message");
  if (message !== "") return node === "" ? message : `${node}: ${message}`;
  return textAt(task, "waitingFor", "reason");
}

/** A task for people, with its output. */
export function taskText(show: Printer, task: Json): string {
  const labels = at(task, "labels");
  const time = (name: string): string => showTime(textAt(task, name));
  const record = show.record({
    id: textAt(task, "id"),
    state: textAt(task, "state"),
    workflow: `${textAt(task, "workflow")}@${textAt(task, "revision")}`,
    why: whyOf(task),
    code: textAt(task, "error", "code"),
    until: showTime(textAt(task, "waitingFor", "until")),
    attempt: textAt(task, "attempt"),
    labels: isObject(labels)
      ? Object.entries(labels)
          .map(([key, value]) => `${key}=${String(value)}`)
          .join(", ")
      : "",
    created: time("createTime"),
    started: time("startTime"),
    ended: time("endTime"),
    deadline: textAt(task, "endTime") === "" ? time("deadline") : "",
    "retry of": textAt(task, "retryOf"),
    delivery: textAt(task, "delivery", "state"),
  });
  return textAt(task, "state") === "succeeded"
    ? `${record}\n${show.paint.dim("output")}\n${show.value(at(task, "output"))}`
    : record;
}
