import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits } from "../cli-error.ts";
import { type Json, listAt, textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { intOption } from "../input/read-options.ts";
import type { Printer } from "../output/printer.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { removeCommand } from "./remove.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "KEY", of: (limit) => textAt(limit, "key") },
  { title: "CONCURRENCY", of: (limit) => textAt(limit, "concurrency"), kind: "number" },
  { title: "USED", of: (limit) => textAt(limit, "used"), kind: "number" },
  { title: "WAITING", of: (limit) => textAt(limit, "waiting"), kind: "number" },
  { title: "SOURCE", of: (limit) => textAt(limit, "source") },
];

const holderColumns: readonly Column[] = [
  { title: "TASK", of: (holder) => textAt(holder, "taskId") },
  { title: "SINCE", of: (holder) => showTime(textAt(holder, "since")) },
];

const keyText = "project, workflow:<name>, or a name that workflows list under limits.keys";

export function limitsCommand(start: Start): CommandUnknownOpts {
  return new Command("limits")
    .description("bound how many tasks run at the same time")
    .addCommand(
      new Command("put")
        .description("store a limit, or change one; tasks that hold a slot keep it")
        .argument("<key>", keyText)
        .requiredOption("--concurrency <number>", "tasks side by side", intOption(1, 100_000))
        .action((key, { concurrency }) =>
          start(async ({ api, show }) => {
            const limit = await api.call("PUT", route`/v1/limits/${key}`, { body: { concurrency } });
            show.result(limit, () => show.table(columns, [limit]));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      new Command("get")
        .description("show a limit and who holds its slots")
        .argument("<key>", keyText)
        .action((key) =>
          start(async ({ api, show }) => {
            const limit = await api.call("GET", route`/v1/limits/${key}`);
            show.result(limit, () => limitTextOf(show, limit));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      new Command("ls")
        .description("list the limits with their use")
        .option(limitFlags, limitText, limitOption, defaultLimit)
        .action(({ limit }) => start((session) => showList(session, { path: "/v1/limits", field: "limits", columns, limit }))),
    )
    .addCommand(removeCommand(start, "limit", "delete a limit", (key) => route`/v1/limits/${key}`));
}

function limitTextOf(show: Printer, limit: Json): string {
  const holders = listAt(limit, "holders");
  const table = show.table(columns, [limit]);
  return holders.length === 0 ? table : `${table}\n\n${show.table(holderColumns, holders)}`;
}
