import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Start } from "../session.ts";
import { followTask } from "./follow-task.ts";

export function watchCommand(start: Start): CommandUnknownOpts {
  return new Command("watch")
    .description("show what happens to a task until it has ended; exit code 1 when it did not succeed")
    .argument("<id>", "id of the task")
    .action((id) => start((session) => followTask(session, id)));
}
