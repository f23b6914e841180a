import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits } from "../cli-error.ts";
import { textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { readSecret } from "../input/read-secret.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { removeCommand } from "./remove.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "NAME", of: (secret) => textAt(secret, "name") },
  { title: "UPDATED", of: (secret) => showTime(textAt(secret, "updateTime")) },
  { title: "DESCRIPTION", of: (secret) => textAt(secret, "description") },
];

export function secretsCommand(start: Start): CommandUnknownOpts {
  return new Command("secrets")
    .description("manage secrets; values are written and never read back")
    .addCommand(
      new Command("put")
        .description("store a secret, or a new value for one; the value comes from standard input, or from --from-env")
        .argument("<name>", "letters, digits and _; expressions use it as secrets.NAME")
        .option("--from-env <variable>", "take the value from this environment variable")
        .option("--description <text>", "for people")
        .action((name, { fromEnv, description }) =>
          start(async ({ world, api, show }) => {
            const path = route`/v1/secrets/${name}`;
            const value = await readSecret(world, `value of ${name}`, fromEnv);
            show.hide(value);
            const secret = await api.call("PUT", path, { body: { value, ...(description !== undefined && { description }) } });
            show.result(secret, () => show.table(columns, [secret]));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      new Command("ls")
        .description("list the secrets, without their values")
        .option(limitFlags, limitText, limitOption, defaultLimit)
        .action(({ limit }) => start((session) => showList(session, { path: "/v1/secrets", field: "secrets", columns, limit }))),
    )
    .addCommand(
      removeCommand(
        start,
        "secret",
        "delete a secret; nodes that use it fail from then on",
        (name) => route`/v1/secrets/${name}`,
      ),
    );
}
