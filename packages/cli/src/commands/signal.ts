import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits, usageError } from "../cli-error.ts";
import { route } from "../client/route.ts";
import { readValue } from "../input/read-value.ts";
import { taskText } from "../output/task-text.ts";
import type { Start } from "../session.ts";

export function signalCommand(start: Start): CommandUnknownOpts {
  return new Command("signal")
    .description("hand a value to a node that waits for a signal or an approval")
    .argument("<id>", "id of the task")
    .option("--name <name>", "name of the signal")
    .option("--node <path>", "path of the node, such as approve or each[3].approve")
    .option("--payload <json>", "the value: JSON, @file or -; null where it is not given")
    .option("--by <text>", "who sends it, for people")
    .action((id, { name, node, payload, by }) =>
      start(async ({ world, api, show }) => {
        if ((name === undefined) === (node === undefined))
          throw usageError("give one of --name (of the signal) and --node (its path)");
        const value = payload === undefined ? undefined : await readValue(world, "--payload", payload);
        const body = {
          ...(name !== undefined && { name }),
          ...(node !== undefined && { node }),
          ...(value !== undefined && { payload: value }),
          ...(by !== undefined && { by }),
        };
        const task = await api.call("POST", route`/v1/tasks/${id}:signal`, { body });
        show.result(task, () => taskText(show, task));
        return exits.ok;
      }),
    );
}
