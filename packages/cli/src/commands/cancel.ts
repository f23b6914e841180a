import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits } from "../cli-error.ts";
import { type Json, listAt, textAt } from "../client/json.ts";
import { taskColumns } from "../output/task-text.ts";
import type { Start } from "../session.ts";

const maxBatch = 500;

export function cancelCommand(start: Start): CommandUnknownOpts {
  return new Command("cancel")
    .description("end tasks as cancelled; what has ended already stays as it is")
    .argument("<ids...>", "ids of the tasks")
    .option("--reason <text>", "kept in the tasks' error", "")
    .action((ids, { reason }) =>
      start(async ({ api, show }) => {
        const tasks: Json[] = [];
        const missing: Json[] = [];
        for (let from = 0; from < ids.length; from += maxBatch) {
          const body = { ids: ids.slice(from, from + maxBatch), reason };
          const answer = await api.call("POST", "/v1/tasks:batchCancel", { body, isRepeatable: true });
          tasks.push(...listAt(answer, "tasks"));
          missing.push(...listAt(answer, "missing"));
        }
        show.result({ tasks, missing }, () => show.table(taskColumns, tasks));
        for (const task of tasks) {
          const state = textAt(task, "state");
          if (state !== "cancelled") show.note(`task ${textAt(task, "id")} had ended before: ${state}`);
        }
        for (const id of missing) show.note(`there is no task ${String(id)}`);
        return missing.length === 0 ? exits.ok : exits.negative;
      }),
    );
}
