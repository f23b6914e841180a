import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type Exit, exits } from "../cli-error.ts";
import { at, type Json, listAt, textAt } from "../client/json.ts";
import { faultText } from "../client/problem-text.ts";
import { parseDocument } from "../input/read-document.ts";
import { readText, readValue } from "../input/read-value.ts";
import { cleanText } from "../output/clean-text.ts";
import type { Printer } from "../output/printer.ts";
import type { Start } from "../session.ts";
import { mediaTypeOf } from "./deploy.ts";

export function validateCommand(start: Start): CommandUnknownOpts {
  return new Command("validate")
    .description("say what is wrong with a workflow; with --input also try it out without any effect")
    .argument("<file>", "definition in YAML or JSON (.json); - for standard input")
    .option("--input <json>", "a sample input: JSON, @file or -")
    .option("--recorded <json>", "outputs of nodes by path, to be taken as they are: JSON, @file or -")
    .action((file, options) =>
      start(async ({ world, api, show }) => {
        const text = await readText(world, file);
        const definition = parseDocument(text, file);
        const sample = options.input === undefined ? undefined : await readValue(world, "--input", options.input);
        const recorded = options.recorded === undefined ? {} : await readValue(world, "--recorded", options.recorded);
        const raw = { text, type: mediaTypeOf(file) };
        let answer = await api.call("POST", "/v1/workflows:validate", { raw, isRepeatable: true });
        if (sample !== undefined && at(answer, "valid") === true) {
          answer = await api.call("POST", "/v1/workflows:dryRun", {
            body: { definition, input: sample, recorded },
            isRepeatable: true,
          });
        }
        show.result(answer, () => answerText(show, answer));
        return exitOf(answer);
      }),
    );
}

function exitOf(answer: Json): Exit {
  const run = at(answer, "dryRun");
  if (at(answer, "valid") !== true || listAt(run, "errors").length > 0 || textAt(run, "failsAt") !== "") return exits.negative;
  return run === undefined || at(run, "complete") === true ? exits.ok : exits.incomplete;
}

function answerText(show: Printer, answer: Json): string {
  const faults = [...listAt(answer, "errors"), ...listAt(answer, "dryRun", "errors")].map((one) =>
    cleanText(faultText(one), { lines: true }),
  );
  const run = at(answer, "dryRun");
  if (run === undefined) return at(answer, "valid") === true ? "valid" : ["not valid", ...faults].join("\n");
  const nodes = listAt(run, "nodes");
  const failsAt = textAt(run, "failsAt");
  return [
    show.table(
      [
        { title: "NODE", of: (node) => textAt(node, "path") },
        { title: "KIND", of: (node) => textAt(node, "kind") },
        { title: "STATE", of: (node) => textAt(node, "state") },
        { title: "WHY", of: (node) => textAt(node, "why") },
      ],
      nodes,
    ),
    ...nodes.flatMap((node) => listAt(node, "errors")).map((one) => cleanText(faultText(one), { lines: true })),
    ...faults,
    failsAt === ""
      ? `${show.paint.dim("output")}\n${show.value(at(run, "output"))}`
      : `the task would fail at ${cleanText(failsAt)}`,
    ...(at(run, "complete") === true
      ? []
      : ["not every expression could be evaluated; --recorded gives outputs of nodes that touch the outside"]),
  ].join("\n");
}
