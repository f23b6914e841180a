import type { Task } from "@longhaul/proto/task";
import type { SeenFunctions } from "./seen-functions.ts";

/** Adds to what a task waits for that no worker serves the function, where none has asked for it lately. */
export function tellUnserved(seen: Pick<SeenFunctions, "isServed">, tasks: readonly (Task | undefined)[]): void {
  for (const task of tasks) {
    if (task === undefined) continue;
    for (const wait of [task.waitingFor, ...task.waits]) {
      if (wait?.kind !== "worker" || seen.isServed(task.project, wait.name)) continue;
      wait.reason += ` No worker has asked for function "${wait.name}" in the last minute.`;
    }
  }
}
