#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { CliError, exits } from "./cli-error.ts";
import { runCli } from "./run-cli.ts";
import type { Out, World } from "./world.ts";

const quit = new AbortController();
let quitAtMs = 0;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);

/** Ends what is under way. One Ctrl-C may arrive twice, from the terminal and from npx; a later one ends the program at once. */
function stop(): void {
  if (!quit.signal.aborted) {
    quitAtMs = performance.now();
    quit.abort();
  } else if (performance.now() - quitAtMs > 1_000) process.exit(exits.interrupted);
}

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever read has gone, as `head` does when it has enough.
    if (error.code === "EPIPE") process.exit(exits.ok);
    throw error;
  });
}

const world: World = {
  env: process.env,
  out: outOf(process.stdout),
  err: outOf(process.stderr),
  readStdin: () => orQuit(text(process.stdin)),
  askHidden: process.stdin.isTTY ? askHidden : undefined,
  readFile: (path) => readFile(path, "utf8"),
  fetch,
  async pause(ms) {
    try {
      await wait(ms, undefined, { signal: quit.signal });
    } catch (error) {
      throw interrupted(error);
    }
  },
  now: Date.now,
  quit: quit.signal,
};

process.exitCode = await runCli(process.argv.slice(2), world);
// Whoever feeds standard input may never end; after Ctrl-C nobody waits for that.
if (quit.signal.aborted) process.stdin.destroy();

function outOf(stream: NodeJS.WriteStream): Out {
  return {
    write: (said) => void stream.write(said),
    isTerminal: stream.isTTY ?? false,
    columns: stream.isTTY ? stream.columns : 80,
    hasColours: stream.isTTY ? stream.hasColors() && !process.env["NO_COLOR"] : false,
  };
}

function interrupted(cause?: unknown): CliError {
  return new CliError(exits.interrupted, "interrupted", { cause });
}

function orQuit<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    quit.signal.addEventListener("abort", () => reject(interrupted()), { once: true });
    work.then(resolve, reject);
  });
}

/** Reads a line key by key, so that the terminal shows none of it. */
function askHidden(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setRawMode(true).setEncoding("utf8").resume();
  return new Promise<string>((resolve, reject) => {
    let line = "";
    const end = (done: () => void): void => {
      stdin.off("data", take);
      stdin.setRawMode(false).pause();
      stderr.write("\n");
      done();
    };
    const take = (chunk: string): void => {
      for (const one of chunk) {
        if (one === "\r" || one === "\n" || one === "\u0004") {
          end(() => resolve(line));
          return;
        }
        if (one === "\u0003") {
          end(() => reject(interrupted()));
          return;
        }
        line = one === "\u007f" || one === "\b" ? line.slice(0, -1) : line + one;
      }
    };
    stdin.on("data", take);
  });
}
