import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits, usageError } from "../cli-error.ts";
import { at, type Json, listAt, textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "ID", of: (delivery) => textAt(delivery, "id") },
  { title: "STATE", of: (delivery) => textAt(delivery, "state"), kind: "state" },
  { title: "ATTEMPTS", of: (delivery) => textAt(lastAttempt(delivery), "number") || "0", kind: "number" },
  { title: "LAST", of: lastAnswer },
  { title: "NEXT", of: (delivery) => showTime(textAt(delivery, "nextAttemptTime")) },
  { title: "URL", of: (delivery) => textAt(delivery, "url") },
];

export function deliveriesCommand(start: Start): CommandUnknownOpts {
  return new Command("deliveries")
    .description("list the webhook messages of a task with what became of them")
    .argument("<id>", "id of the task")
    .option(limitFlags, limitText, limitOption, defaultLimit)
    .action((id, { limit }) =>
      start((session) => showList(session, { path: route`/v1/tasks/${id}/deliveries`, field: "deliveries", columns, limit })),
    );
}

export function replayCommand(start: Start): CommandUnknownOpts {
  return new Command("replay")
    .description("send a webhook message again, with the same id and body")
    .argument("[delivery]", "id of the delivery")
    .option("--failed", "send again everything that is exhausted")
    .option("--task <id>", "with --failed: only of this task")
    .action((delivery, { failed, task }) =>
      start(async ({ api, show }) => {
        if ((delivery === undefined) === (failed === undefined)) throw usageError("give the id of a delivery, or --failed");
        if (task !== undefined && !failed) throw usageError("--task belongs to --failed");
        if (delivery !== undefined) {
          const found = await api.call("POST", route`/v1/deliveries/${delivery}:replay`, {});
          show.result(found, () => show.table(columns, [found]));
          return exits.ok;
        }
        let replayed = 0;
        for (let more = true; more; ) {
          const answer = await api.call("POST", "/v1/deliveries:replayFailed", {
            body: task === undefined ? {} : { taskId: task },
          });
          const count = Number(textAt(answer, "replayed"));
          replayed += count;
          more = at(answer, "more") === true && count > 0;
        }
        show.result({ replayed }, () => `${replayed} sent again`);
        return exits.ok;
      }),
    );
}

function lastAttempt(delivery: Json): Json | undefined {
  return listAt(delivery, "attempts").at(-1);
}

function lastAnswer(delivery: Json): string {
  const last = lastAttempt(delivery);
  const status = textAt(last, "status");
  return last === undefined ? "" : status === "0" ? textAt(last, "error") : status;
}
