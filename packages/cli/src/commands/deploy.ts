import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits, usageError } from "../cli-error.ts";
import { textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { isJsonFile, parseDocument } from "../input/read-document.ts";
import { readText } from "../input/read-value.ts";
import type { Start } from "../session.ts";

export function deployCommand(start: Start): CommandUnknownOpts {
  return new Command("deploy")
    .description("store a workflow; a change makes a new revision")
    .argument("<file>", "definition in YAML or JSON (.json); - for standard input")
    .option("--name <name>", "name to store it under, where the definition has none")
    .action((file, options) =>
      start(async ({ world, api, show }) => {
        const text = await readText(world, file);
        const name = options.name ?? textAt(parseDocument(text, file), "name");
        if (name === "") throw usageError(`${file} has no name; write \`name:\` into it, or give --name`);
        const workflow = await api.call("PUT", route`/v1/workflows/${name}`, { raw: { text, type: mediaTypeOf(file) } });
        show.result(workflow, () =>
          show.record({
            workflow: textAt(workflow, "name"),
            revision: textAt(workflow, "revision"),
            enabled: textAt(workflow, "enabled"),
            "takes asynchronous calls": textAt(workflow, "supportsAsync"),
          }),
        );
        return exits.ok;
      }),
    );
}

/** How a file is sent: as it is, so that the server's errors name its lines. */
export function mediaTypeOf(file: string): string {
  return isJsonFile(file) ? "application/json" : "application/yaml";
}
