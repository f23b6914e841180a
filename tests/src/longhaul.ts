import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Json } from "./api.ts";

/** How a run of the command line ended, and what it wrote into its pipes. */
export interface CliRun {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
  /** What it wrote to standard output as JSON; throws when it is none. */
  json<T = Json>(): T;
}

export interface CliOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Sends SIGINT when standard output or standard error matches; twice, as a terminal and npx do together. */
  readonly interruptAt?: RegExp;
}

const entry = fileURLToPath(new URL("../../packages/cli/bin/longhaul.mjs", import.meta.url));

/** Runs the built command line, as it is shipped, in pipes. */
export function longhaul(
  url: string,
  args: readonly string[],
  { stdin = "", env = {}, interruptAt }: CliOptions = {},
): Promise<CliRun> {
  if (!existsSync(new URL("../../packages/cli/dist/main.js", import.meta.url))) {
    throw new Error("packages/cli is not built: run `npm run build` first (`npm test` does)");
  }
  const child = spawn(process.execPath, [entry, ...args], {
    env: { PATH: process.env["PATH"], LONGHAUL_URL: url, ...env },
    // A run that hangs fails its test with what it has written.
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  const said = { out: "", err: "" };
  let isInterrupted = false;
  const take = (to: "out" | "err") => (chunk: string) => {
    said[to] += chunk;
    if (isInterrupted || !interruptAt?.test(said.out + said.err)) return;
    isInterrupted = true;
    child.kill("SIGINT");
    child.kill("SIGINT");
  };
  child.stdout.setEncoding("utf8").on("data", take("out"));
  child.stderr.setEncoding("utf8").on("data", take("err"));
  // A command that refuses its arguments does not read what it is given.
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit) => resolve({ exit, ...said, json: <T>() => JSON.parse(said.out) as T }));
  });
}
