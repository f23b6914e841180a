import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type Json, textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "NODE", of: (node) => textAt(node, "path") },
  { title: "KIND", of: (node) => textAt(node, "kind") },
  { title: "STATE", of: (node) => textAt(node, "state"), kind: "state" },
  { title: "TRIES", of: (node) => textAt(node, "tries"), kind: "number" },
  { title: "STARTED", of: (node) => showTime(textAt(node, "startTime")) },
  { title: "TOOK", of: tookOf, kind: "number" },
  { title: "WHY", of: (node) => textAt(node, "error", "message") || textAt(node, "waitingFor", "reason") },
];

export function nodesCommand(start: Start): CommandUnknownOpts {
  return new Command("nodes")
    .description("list the node runs of a task")
    .argument("<id>", "id of the task")
    .option(limitFlags, limitText, limitOption, defaultLimit * 2)
    .action((id, { limit }) =>
      start((session) => showList(session, { path: route`/v1/tasks/${id}/nodes`, field: "nodes", columns, limit })),
    );
}

/** From begin to end, in the unit that reads best. */
function tookOf(node: Json): string {
  const ms = Date.parse(textAt(node, "endTime")) - Date.parse(textAt(node, "startTime"));
  if (!Number.isFinite(ms)) return "";
  return ms < 1_000 ? `${ms}ms` : ms < 120_000 ? `${(ms / 1_000).toFixed(1)}s` : `${Math.round(ms / 60_000)}m`;
}
