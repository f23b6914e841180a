import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { listOption, pairOption } from "../input/read-options.ts";
import { taskColumns } from "../output/task-text.ts";
import type { Start } from "../session.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

export function lsCommand(start: Start): CommandUnknownOpts {
  return new Command("ls")
    .description("list tasks, newest first")
    .option("--state <states>", "only in these states, such as failed,timed_out; may be repeated", listOption)
    .option("--workflow <name>", "only of this workflow")
    .option("--label <key=value>", "only with this label; may be repeated", pairOption)
    .option("--q <text>", "an id, or words of the input")
    .option("--created-after <time>", "only accepted after this time, such as 2026-11-01T00:00:00Z")
    .option(limitFlags, limitText, limitOption, defaultLimit)
    .action(({ state, workflow, label = {}, q, createdAfter, limit }) =>
      start((session) => {
        const labels = Object.fromEntries(Object.entries(label).map(([key, value]) => [`label.${key}`, value]));
        const query = { state, workflow, q, createdAfter, ...labels };
        return showList(session, { path: "/v1/tasks", field: "tasks", columns: taskColumns, limit, query });
      }),
    );
}
