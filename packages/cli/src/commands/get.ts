import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits, usageError } from "../cli-error.ts";
import { route } from "../client/route.ts";
import { durationOption } from "../input/read-options.ts";
import { taskText } from "../output/task-text.ts";
import type { Start } from "../session.ts";
import { waitForTask } from "./follow-task.ts";

export function getCommand(start: Start): CommandUnknownOpts {
  return new Command("get")
    .description("show a task")
    .argument("<id>", "id of the task")
    .option("--wait", "wait until it has ended; exit code 1 when it did not succeed")
    .option("--timeout <duration>", "with --wait: longest wait, such as 30s; exit code 3 when it is over", durationOption)
    .action((id, { wait, timeout }) =>
      start(async (session) => {
        if (timeout !== undefined && !wait) throw usageError("--timeout belongs to --wait");
        if (wait) return waitForTask(session, id, timeout);
        const { api, show } = session;
        const task = await api.call("GET", route`/v1/tasks/${id}`);
        show.result(task, () => taskText(show, task));
        return exits.ok;
      }),
    );
}
