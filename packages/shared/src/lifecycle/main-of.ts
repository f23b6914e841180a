import { LonghaulError } from "@longhaul/core";
import type { Env } from "../config/read-env.ts";
import { redactText } from "../log/redact.ts";
import { keepHeapLean } from "./lean-heap.ts";
import type { Part } from "./part.ts";
import { type RunOptions, runParts } from "./run-parts.ts";

/** What a service runs, as its `wire` makes it from the environment. */
export interface Running extends Omit<RunOptions, "quit" | "force"> {
  readonly parts: readonly Part[];
}

/** What of `process` an entry point needs; tests pass their own. */
export interface ProcessLike {
  readonly env: Env;
  readonly stderr: { write(text: string): unknown };
  on(event: string, listener: (reason: unknown) => void): unknown;
  exit(code: number): void;
}

/**
 * A whole entry point: SIGTERM or SIGINT drains and exits 0, the same again cuts the drain short; an error that nobody caught, or a start
 * that failed, is one sentence on stderr and exit 1.
 */
export async function mainOf(
  service: string,
  wire: (env: Env) => Running | Promise<Running>,
  host: ProcessLike = process,
  now: () => number = () => performance.now(),
): Promise<void> {
  keepHeapLean();
  const quit = new AbortController();
  const force = new AbortController();
  let quitAt = 0;
  const onSignal = (): void => {
    if (!quit.signal.aborted) {
      quitAt = now();
      quit.abort();
      // One Ctrl-C can come twice, from the terminal and from npm: only one that comes later asks for more.
    } else if (now() - quitAt >= 500) force.abort();
  };
  host.on("SIGTERM", onSignal);
  host.on("SIGINT", onSignal);

  const fail = (error: unknown): void => {
    host.stderr.write(`longhaul ${service}: ${sentenceOf(error)}\n`);
    host.exit(1);
  };
  let log: Running["log"] | undefined;
  const crash = (error: unknown): void => {
    log?.error({ err: error }, "an error that nobody caught ends the process");
    fail(error);
  };
  host.on("uncaughtException", crash);
  host.on("unhandledRejection", crash);

  try {
    const { parts, ...options } = await wire(host.env);
    log = options.log;
    await runParts(parts, { ...options, quit: quit.signal, force: force.signal });
    host.exit(0);
  } catch (error) {
    if (log && !(error instanceof LonghaulError)) log.error({ err: error }, "start failed");
    fail(error);
  }
}

function sentenceOf(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `${said}: something listens there already; set PORT to a free one`;
  return redactText(said || "failed without a message");
}
