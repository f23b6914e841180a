import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { CliError, type Exit, exits } from "./cli-error.ts";
import { type Api, connect } from "./client/api.ts";
import { cancelCommand } from "./commands/cancel.ts";
import { connectionsCommand } from "./commands/connections.ts";
import { deliveriesCommand, replayCommand } from "./commands/deliveries.ts";
import { deployCommand } from "./commands/deploy.ts";
import { getCommand } from "./commands/get.ts";
import { importCommand } from "./commands/import.ts";
import { limitsCommand } from "./commands/limits.ts";
import { lsCommand } from "./commands/ls.ts";
import { nodesCommand } from "./commands/nodes.ts";
import { retryCommand } from "./commands/retry.ts";
import { runCommand } from "./commands/run.ts";
import { schedulesCommand } from "./commands/schedules.ts";
import { secretsCommand } from "./commands/secrets.ts";
import { signalCommand } from "./commands/signal.ts";
import { validateCommand } from "./commands/validate.ts";
import { watchCommand } from "./commands/watch.ts";
import { workflowsCommand } from "./commands/workflows.ts";
import { cleanText } from "./output/clean-text.ts";
import { type Printer, printer } from "./output/printer.ts";
import type { Start } from "./session.ts";
import type { World } from "./world.ts";

/** The commands in the order in which the help shows them. */
const commands: readonly ((start: Start) => CommandUnknownOpts)[] = [
  deployCommand,
  validateCommand,
  runCommand,
  getCommand,
  lsCommand,
  watchCommand,
  cancelCommand,
  retryCommand,
  signalCommand,
  nodesCommand,
  deliveriesCommand,
  replayCommand,
  workflowsCommand,
  secretsCommand,
  connectionsCommand,
  schedulesCommand,
  limitsCommand,
  importCommand,
];

const defaultUrl = "http://127.0.0.1:8080";

const helpEnd = `
Environment:
  LONGHAUL_URL      address of the server (${defaultUrl})
  LONGHAUL_API_KEY  API key, where the server wants one

Exit codes: 0 done, 1 the task failed or the server refused, 2 wrong usage, 3 incomplete, 4 not reachable, 130 Ctrl-C`;

/** Runs a command line (without the program's own name) and answers the exit code. Never rejects. */
export async function runCli(args: readonly string[], world: World): Promise<Exit> {
  let exit: Exit = exits.ok;
  let show: Printer | undefined;
  const program = new Command("longhaul")
    .description("The command line of Longhaul: tables on a terminal, JSON in a pipe.")
    .option("--json", "JSON on a terminal too")
    .option("--url <url>", `address of the server; LONGHAUL_URL, or ${defaultUrl}, where it is not given`)
    .addHelpText("after", helpEnd);
  const start: Start = async (work) => {
    const options = program.opts();
    show = printer(world, options.json ?? false);
    const key = world.env["LONGHAUL_API_KEY"];
    if (key !== undefined) show.hide(key);
    const api: Api = connect(world, { url: options.url ?? (world.env["LONGHAUL_URL"] || defaultUrl), key });
    exit = await work({ world, api, show });
  };
  for (const command of commands) program.addCommand(command(start));
  forAll(program, (command) => {
    command.exitOverride().configureOutput({
      writeOut: (text) => world.out.write(text),
      writeErr: (text) => world.err.write(cleanText(text, { lines: true })),
      getOutHelpWidth: () => world.out.columns,
      getErrHelpWidth: () => world.err.columns,
    });
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exits.ok : exits.usage;
    if (world.quit.aborted && !(error instanceof CliError)) return exits.interrupted;
    show ??= printer(world, false);
    if (!(error instanceof CliError)) {
      show.note(`longhaul: this should not happen, please report it: ${error instanceof Error ? error.stack : String(error)}`);
      return exits.negative;
    }
    show.note(`longhaul: ${error.message}`);
    return error.exit;
  }
}

function forAll(command: CommandUnknownOpts, dress: (command: CommandUnknownOpts) => void): void {
  dress(command);
  for (const sub of command.commands) forAll(sub, dress);
}
