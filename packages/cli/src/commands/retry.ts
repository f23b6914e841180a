import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { usageError } from "../cli-error.ts";
import { route } from "../client/route.ts";
import { durationOption } from "../input/read-options.ts";
import type { Start } from "../session.ts";
import { showNewTask } from "./follow-task.ts";
import { idempotencyHeader } from "./run.ts";

export function retryCommand(start: Start): CommandUnknownOpts {
  return new Command("retry")
    .description("make a new task that goes on behind what the ended one has finished")
    .argument("<id>", "id of a task that failed, timed out or was cancelled")
    .option("--from <node>", "run this node and everything behind it again")
    .option("--latest", "run the latest revision of the workflow")
    .option("--wait", "wait until it has ended; exit code 1 when it did not succeed")
    .option("--follow", "show what happens until it has ended; exit code as with --wait")
    .option("--timeout <duration>", "with --wait: longest wait, such as 30s; exit code 3 when it is over", durationOption)
    .option("--idempotency-key <key>", "the same key makes one task of several retries; made anew where it is not given")
    .action((id, { from, latest, wait, follow, timeout, idempotencyKey }) =>
      start(async (session) => {
        if (wait && follow) throw usageError("--wait and --follow exclude each other");
        if (timeout !== undefined && !wait) throw usageError("--timeout belongs to --wait");
        const task = await session.api.call("POST", route`/v1/tasks/${id}:retry`, {
          body: { ...(from !== undefined && { from }), ...(latest && { revision: "latest" }) },
          headers: idempotencyHeader(idempotencyKey),
          isRepeatable: true,
        });
        return showNewTask(session, task, { wait, follow, timeout });
      }),
    );
}
