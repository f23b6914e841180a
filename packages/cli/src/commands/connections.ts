import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { exits, usageError } from "../cli-error.ts";
import { at, isObject, type Json, listAt, textAt } from "../client/json.ts";
import { route } from "../client/route.ts";
import { given, readObject } from "../input/read-object.ts";
import { apiDuration, durationOption, intOption, listOption, pairOption } from "../input/read-options.ts";
import { readSecret } from "../input/read-secret.ts";
import type { Printer } from "../output/printer.ts";
import { showTime } from "../output/show-time.ts";
import type { Column } from "../output/table.ts";
import type { Start } from "../session.ts";
import { removeCommand } from "./remove.ts";
import { defaultLimit, limitFlags, limitOption, limitText, showList } from "./show-list.ts";

const columns: readonly Column[] = [
  { title: "NAME", of: (connection) => textAt(connection, "name") },
  { title: "KIND", of: (connection) => textAt(connection, "kind") },
  { title: "URL", of: (connection) => textAt(connection, "baseUrl") },
  { title: "KEY", of: keyOf },
  { title: "MODEL", of: (connection) => textAt(connection, "defaultModel") },
];

const boundOption = intOption(0, 2_147_483_647);

export function connectionsCommand(start: Start): CommandUnknownOpts {
  return new Command("connections")
    .description("manage connections to model servers; keys are written and never read back")
    .addCommand(putCommand(start))
    .addCommand(
      new Command("get")
        .description("show a connection, without its key")
        .argument("<name>", "name of the connection")
        .action((name) =>
          start(async ({ api, show }) => {
            const connection = await api.call("GET", route`/v1/connections/${name}`);
            show.result(connection, () => connectionText(show, connection));
            return exits.ok;
          }),
        ),
    )
    .addCommand(
      new Command("ls")
        .description("list the connections")
        .option(limitFlags, limitText, limitOption, defaultLimit)
        .action(({ limit }) =>
          start((session) => showList(session, { path: "/v1/connections", field: "connections", columns, limit })),
        ),
    )
    .addCommand(
      removeCommand(
        start,
        "connection",
        "delete a connection; nodes that use it fail from then on",
        (name) => route`/v1/connections/${name}`,
      ),
    );
}

function putCommand(start: Start): CommandUnknownOpts {
  return new Command("put")
    .description("store a connection, or change one as a whole; a key that is stored stays where none is given")
    .argument("<name>", "name of the connection; nodes that name none use `default`")
    .argument("[file]", "the connection in YAML or JSON (.json); - for standard input. Options win over it")
    .option("--base-url <url>", "where it is, such as https://api.openai.com/v1")
    .option("--kind <kind>", "openai: any server that speaks OpenAI's chat completions")
    .option("--secret <name>", "name of the secret that holds the key")
    .option("--key-from-env <variable>", "take the key itself from this environment variable")
    .option("--key-from-stdin", "take the key itself from standard input")
    .option("--default-model <name>", "the model for nodes that name none")
    .option("--allow-model <names>", "only these models may be used; may be repeated", listOption)
    .option("--concurrency <number>", "calls side by side; 0 for no bound", boundOption)
    .option("--requests-per-minute <number>", "calls begun per minute; 0 for no bound", boundOption)
    .option("--tokens-per-minute <number>", "tokens per minute; 0 for no bound", boundOption)
    .option("--header <name=value>", "sent with every call; may be repeated", pairOption)
    .option("--timeout <duration>", "longest time of one call, such as 60s", durationOption)
    .action((name, file, options) =>
      start(async ({ world, api, show }) => {
        const { keyFromEnv, keyFromStdin, secret, header, timeout } = options;
        if ([keyFromEnv, keyFromStdin, secret].filter((one) => one !== undefined).length > 1) {
          throw usageError("give one of --secret, --key-from-env and --key-from-stdin");
        }
        if (keyFromStdin && file === "-") throw usageError("standard input can't be both the file and the key");
        const path = route`/v1/connections/${name}`;
        const stored = await readObject(world, file);
        const isKeyGiven = keyFromEnv !== undefined || keyFromStdin !== undefined;
        const body = {
          ...stored,
          ...given({
            baseUrl: options.baseUrl,
            kind: options.kind,
            secret,
            apiKey: isKeyGiven ? await readSecret(world, `key of ${name}`, keyFromEnv) : undefined,
            defaultModel: options.defaultModel,
            allowedModels: options.allowModel,
            concurrency: options.concurrency,
            requestsPerMinute: options.requestsPerMinute,
            tokensPerMinute: options.tokensPerMinute,
            headers: header,
            timeout: timeout === undefined ? undefined : apiDuration(timeout),
          }),
        };
        show.hide(textAt(body, "apiKey"));
        show.hide(textAt(body, "api_key"));
        const connection = await api.call("PUT", path, { body });
        show.result(connection, () => connectionText(show, connection));
        return exits.ok;
      }),
    );
}

function keyOf(connection: Json): string {
  const secret = textAt(connection, "secret");
  return secret !== "" ? `secret ${secret}` : at(connection, "hasApiKey") === true ? "stored" : "none";
}

function connectionText(show: Printer, connection: Json): string {
  const headers = at(connection, "headers");
  const bound = (name: string): string => textAt(connection, name).replace(/^0$/, "");
  return show.record({
    name: textAt(connection, "name"),
    kind: textAt(connection, "kind"),
    url: textAt(connection, "baseUrl"),
    key: keyOf(connection),
    "default model": textAt(connection, "defaultModel"),
    "allowed models": listAt(connection, "allowedModels").join(", "),
    concurrency: bound("concurrency"),
    "requests per minute": bound("requestsPerMinute"),
    "tokens per minute": bound("tokensPerMinute"),
    headers: isObject(headers) ? Object.keys(headers).join(", ") : "",
    timeout: textAt(connection, "timeout"),
    updated: showTime(textAt(connection, "updateTime")),
  });
}
