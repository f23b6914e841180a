import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits, usageError } from "../cli-error.ts";
import { at, type Json, listAt, textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { given, readObject } from "../input/read-object.ts";
import { apiDuration, durationOption, intOption, pairOption } from "../input/read-options.ts";
import { readValue } from "../input/read-value.ts";
import type { Printer } from "../output/printer.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { removeCommand } from "./remove.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "NAME", of: (schedule) => textAt(schedule, "name") },
  { title: "WORKFLOW", of: (schedule) => textAt(schedule, "workflow") },
  { title: "WHEN", of: whenOf },
  { title: "STATE", of: stateOf, kind: "state" },
  { title: "NEXT", of: (schedule) => showTime(nextOf(schedule)) },
  { title: "LAST", of: (schedule) => textAt(listAt(schedule, "lastRuns")[0], "outcome") },
];

const runColumns: readonly Column[] = [
  { title: "TIME", of: (run) => showTime(textAt(run, "time")) },
  { title: "OUTCOME", of: (run) => textAt(run, "outcome"), kind: "state" },
  { title: "TASK", of: (run) => textAt(run, "taskId") },
  { title: "WHY", of: (run) => textAt(run, "reason") },
];

export function schedulesCommand(start: Start): CommandUnknownOpts {
  return new Command("schedules")
    .description("start tasks by the clock")
    .addCommand(putCommand(start))
    .addCommand(
      new Command("get")
        .description("show a schedule with its next times and its last runs")
        .argument("<name>", "name of the schedule")
        .action((name) =>
          start(async ({ api, show }) => {
            const schedule = await api.call("GET", route`/v1/schedules/${name}`);
            show.result(schedule, () => scheduleText(show, schedule));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      new Command("ls")
        .description("list the schedules")
        .option(limitFlags, limitText, limitOption, defaultLimit)
        .action(({ limit }) =>
          start((session) => showList(session, { path: "/v1/schedules", field: "schedules", columns, limit })),
        ),
    )
    .addCommand(verbCommand(start, "pause", "stop a schedule; times that pass meanwhile are not made up for"))
    .addCommand(verbCommand(start, "resume", "let a schedule go on from now"))
    .addCommand(
      new Command("run-now")
        .description("start a task at once, beside the schedule's times")
        .argument("<name>", "name of the schedule")
        .action((name) =>
          start(async ({ api, show }) => {
            const answer = await api.call("POST", route`/v1/schedules/${name}:runNow`);
            show.result(answer, () => show.record({ task: textAt(answer, "taskId") }));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      removeCommand(start, "schedule", "delete a schedule; tasks that it started go on", (name) => route`/v1/schedules/${name}`),
    );
}

function putCommand(start: Start): CommandUnknownOpts {
  return new Command("put")
    .description("store a schedule, or change one as a whole, from a file, from options, or from both")
    .argument("<name>", "name of the schedule")
    .argument("[file]", "the schedule in YAML or JSON (.json); - for standard input. Options win over it")
    .option("--workflow <name>", "the workflow to start")
    .option("--input <json>", "the tasks' input: JSON, @file or -")
    .option("--cron <fields>", 'when, such as "0 6 * * mon-fri"')
    .option("--time-zone <zone>", "of --cron, such as Europe/Berlin; UTC where it is not given")
    .option("--interval <duration>", "from one time to the next, such as 15m", durationOption)
    .option("--overlap <policy>", "while the task before is under way: skip, queue or cancel_previous")
    .option("--catch-up <duration>", "make up for times missed that are no older", durationOption)
    .option("--max-catch-up <number>", "make up for so many at most", intOption(1, 1_000_000))
    .option("--paused", "store it stopped")
    .option("--label <key=value>", "label of the tasks; may be repeated", pairOption)
    .option("--priority <number>", "of the tasks, -100 to 100", intOption(-100, 100))
    .action((name, file, options) =>
      start(async ({ world, api, show }) => {
        const { cron, interval, catchUp, maxCatchUp, input } = options;
        if (cron !== undefined && interval !== undefined) throw usageError("--cron and --interval exclude each other");
        if (input === "-" && file === "-") throw usageError("standard input can't be both the file and the input");
        const path = route`/v1/schedules/${name}`;
        const body = {
          ...(await readObject(world, file)),
          ...given({
            workflow: options.workflow,
            input: input === undefined ? undefined : await readValue(world, "--input", input),
            cron,
            timeZone: options.timeZone,
            interval: interval === undefined ? undefined : apiDuration(interval),
            overlap: options.overlap,
            catchUp: catchUp === undefined ? undefined : apiDuration(catchUp),
            maxCatchUp,
            paused: options.paused,
            labels: options.label,
            priority: options.priority,
          }),
        };
        show.hide(textAt(body, "webhook", "secret"));
        const schedule = await api.call("PUT", path, { body });
        show.result(schedule, () => scheduleText(show, schedule));
        return exits.ok;
      }),
    );
}

function verbCommand(start: Start, verb: "pause" | "resume", description: string): CommandUnknownOpts {
  return new Command(verb)
    .description(description)
    .argument("<name>", "name of the schedule")
    .action((name) =>
      start(async ({ api, show }) => {
        const path = verb === "pause" ? route`/v1/schedules/${name}:pause` : route`/v1/schedules/${name}:resume`;
        const schedule = await api.call("POST", path, { isRepeatable: true });
        show.result(schedule, () => scheduleText(show, schedule));
        return exits.ok;
      }),
    );
}

function whenOf(schedule: Json): string {
  const cron = textAt(schedule, "cron");
  return cron === "" ? `every ${textAt(schedule, "interval")}` : `${cron} ${textAt(schedule, "timeZone")}`.trim();
}

function stateOf(schedule: Json): string {
  return at(schedule, "paused") === true ? "paused" : "active";
}

function nextOf(schedule: Json): string {
  const [next] = listAt(schedule, "nextTimes");
  return typeof next === "string" ? next : "";
}

function scheduleText(show: Printer, schedule: Json): string {
  const record = show.record({
    name: textAt(schedule, "name"),
    workflow: textAt(schedule, "workflow"),
    when: whenOf(schedule),
    state: stateOf(schedule),
    overlap: textAt(schedule, "overlap"),
    next: listAt(schedule, "nextTimes")
      .map((time) => showTime(String(time)))
      .join(", "),
  });
  const runs = listAt(schedule, "lastRuns");
  return runs.length === 0 ? record : `${record}\n\n${show.table(runColumns, runs)}`;
}
