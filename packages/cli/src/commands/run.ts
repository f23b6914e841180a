import { randomUUID } from "node:crypto";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { usageError } from "../cli-error.ts";
import { durationOption, intOption, pairOption } from "../input/read-options.ts";
import { readValue } from "../input/read-value.ts";
import type { Start } from "../session.ts";
import { showNewTask } from "./follow-task.ts";

export function runCommand(start: Start): CommandUnknownOpts {
  return new Command("run")
    .description("submit a task")
    .argument("<workflow>", "name of the workflow")
    .option("--input <json>", "input of the task: JSON, @file or -")
    .option("--wait", "wait until it has ended; exit code 1 when it did not succeed")
    .option("--follow", "show what happens until it has ended; exit code as with --wait")
    .option("--timeout <duration>", "with --wait: longest wait, such as 30s; exit code 3 when it is over", durationOption)
    .option("--idempotency-key <key>", "the same key makes one task of several runs; made anew where it is not given")
    .option("--revision <number>", "revision of the workflow; the latest one where it is not given", intOption(1, 2_147_483_647))
    .option("--label <key=value>", "label of the task; may be repeated", pairOption)
    .option("--priority <number>", "-100 to 100; higher goes first", intOption(-100, 100))
    .action((workflow, options) =>
      start(async (session) => {
        const { wait, follow, timeout, revision, label: labels, priority } = options;
        if (wait && follow) throw usageError("--wait and --follow exclude each other");
        if (timeout !== undefined && !wait) throw usageError("--timeout belongs to --wait");
        const input = options.input === undefined ? undefined : await readValue(session.world, "--input", options.input);
        const task = await session.api.call("POST", "/v1/tasks", {
          body: {
            workflow,
            ...(input !== undefined && { input }),
            ...(revision !== undefined && { revision }),
            ...(labels && { labels }),
            ...(priority !== undefined && { priority }),
          },
          headers: idempotencyHeader(options.idempotencyKey),
          isRepeatable: true,
        });
        return showNewTask(session, task, { wait, follow, timeout });
      }),
    );
}

/** With a key a request can be sent again when its answer was lost, and makes one task all the same. */
export function idempotencyHeader(key: string = randomUUID()): Readonly<Record<string, string>> {
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) throw usageError("--idempotency-key must be 1 to 255 printable ASCII characters");
  return { "idempotency-key": key };
}
