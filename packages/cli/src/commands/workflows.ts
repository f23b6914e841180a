import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { stringify } from "yaml";
import { exits } from "../cli-error.ts";
import { at, type Json, listAt, textAt } from "../client/json.ts";
import { route, withQuery } from "../client/route.ts";
import { intOption } from "../input/read-options.ts";
import { cleanText } from "../output/clean-text.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { removeCommand } from "./remove.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "NAME", of: (workflow) => textAt(workflow, "name") },
  { title: "REVISION", of: (workflow) => textAt(workflow, "revision"), kind: "number" },
  { title: "ENABLED", of: (workflow) => textAt(workflow, "enabled") },
  { title: "UPDATED", of: (workflow) => showTime(textAt(workflow, "updateTime")) },
  { title: "DESCRIPTION", of: (workflow) => textAt(workflow, "description") },
];

const revisionOption = intOption(1, 2_147_483_647);

export function workflowsCommand(start: Start): CommandUnknownOpts {
  return new Command("workflows")
    .description("see and manage workflows; `deploy` stores them")
    .addCommand(
      new Command("ls")
        .description("list the workflows")
        .option(limitFlags, limitText, limitOption, defaultLimit)
        .action(({ limit }) =>
          start((session) => showList(session, { path: "/v1/workflows", field: "workflows", columns, limit })),
        ),
    )
    .addCommand(
      new Command("get")
        .description("show a workflow's definition")
        .argument("<name>", "name of the workflow")
        .option("--revision <number>", "the latest one where it is not given", revisionOption)
        .action((name, { revision }) =>
          start(async ({ api, show }) => {
            const path =
              revision === undefined ? route`/v1/workflows/${name}` : route`/v1/workflows/${name}/revisions/${String(revision)}`;
            const workflow = await api.call("GET", path);
            show.result(workflow, () => cleanText(stringify(at(workflow, "definition")), { lines: true }));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      new Command("revisions")
        .description("list the revisions of a workflow, newest first")
        .argument("<name>", "name of the workflow")
        .option(limitFlags, limitText, limitOption, defaultLimit)
        .action((name, { limit }) =>
          start((session) =>
            showList(session, {
              path: route`/v1/workflows/${name}/revisions`,
              field: "revisions",
              columns: columns.slice(1),
              limit,
            }),
          ),
        ),
    )
    .addCommand(
      new Command("diff")
        .description("say what changed between two revisions")
        .argument("<name>", "name of the workflow")
        .option("--from <number>", "the earlier revision; the one before --to where it is not given", revisionOption)
        .option("--to <number>", "the later revision; the latest one where it is not given", revisionOption)
        .action((name, { from, to }) =>
          start(async ({ api, show }) => {
            const diff = await api.call("GET", withQuery(route`/v1/workflows/${name}/revisions:diff`, { from, to }));
            show.result(diff, () => diffText(diff));
            return exits.ok;
          }),
        ),
    )
    .addCommand(switchCommand(start, "enable", "let a workflow take new tasks again"))
    .addCommand(switchCommand(start, "disable", "let a workflow take no new tasks; those that exist go on"))
    .addCommand(
      removeCommand(
        start,
        "workflow",
        "take a workflow out of the list; tasks that run go on",
        (name) => route`/v1/workflows/${name}`,
      ),
    );
}

function switchCommand(start: Start, verb: "enable" | "disable", description: string): CommandUnknownOpts {
  return new Command(verb)
    .description(description)
    .argument("<name>", "name of the workflow")
    .action((name) =>
      start(async ({ api, show }) => {
        const path = verb === "enable" ? route`/v1/workflows/${name}:enable` : route`/v1/workflows/${name}:disable`;
        const workflow = await api.call("POST", path, { isRepeatable: true });
        show.result(workflow, () => show.table(columns, [workflow]));
        return exits.ok;
      }),
    );
}

const marks: Readonly<Record<string, string>> = { added: "+", removed: "-", changed: "~" };

function diffText(diff: Json): string {
  const head = `revision ${textAt(diff, "from")} to ${textAt(diff, "to")}`;
  if (at(diff, "same") === true) return `${head}: no difference`;
  const values = (where: string, changes: readonly Json[]): string[] =>
    changes.map(
      (change) => `~ ${where}${textAt(change, "pointer")}: ${shown(at(change, "before"))} -> ${shown(at(change, "after"))}`,
    );
  const lines = [
    ...listAt(diff, "nodes").flatMap((node) => {
      const name = textAt(node, "node");
      return [
        `${marks[textAt(node, "change")] ?? "?"} node ${name} (${textAt(node, "kind")})`,
        ...values(`node ${name} `, listAt(node, "changes")),
      ];
    }),
    ...listAt(diff, "edges").map(
      (edge) =>
        `${marks[textAt(edge, "change")] ?? "?"} edge ${textAt(edge, "from")} -> ${textAt(edge, "to")} (${textAt(edge, "on")})`,
    ),
    ...["input", "output", "limits"].flatMap((part) => values(`${part} `, listAt(diff, part))),
    ...values("", listAt(diff, "about")),
  ];
  const omitted = Number(textAt(diff, "omitted"));
  return [head, ...lines.map((line) => cleanText(line)), ...(omitted > 0 ? [`and ${omitted} more changes`] : [])].join("\n");
}

function shown(value: Json | undefined): string {
  return value === undefined ? "(nothing)" : JSON.stringify(value);
}
