import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits } from "../cli-error.ts";
import type { Start } from "../session.ts";

/** `rm <name>` of one noun. */
export function removeCommand(
  start: Start,
  noun: string,
  description: string,
  pathOf: (name: string) => string,
): CommandUnknownOpts {
  return new Command("rm")
    .description(description)
    .argument("<name>", `name of the ${noun}`)
    .action((name) =>
      start(async ({ api, show }) => {
        // Not repeated: a second delete of what the first one took away would say that it never was there.
        await api.call("DELETE", pathOf(name), { isRepeatable: false });
        show.result({ removed: name }, () => "removed");
        return exits.ok;
      }),
    );
}
