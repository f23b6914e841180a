/** How the program ends. Scripts rely on these numbers: docs/cli.md lists them. */
export const exits = {
  ok: 0,
  /** The task failed, or the server said no. */
  negative: 1,
  /** The command line, the environment or a file of the caller is wrong; nothing was sent. */
  usage: 2,
  /** It went well as far as it went, but something is missing: lost in an import, not evaluated, or not ended in time. */
  incomplete: 3,
  /** Nobody answers, or the server says that it can't at the moment. */
  unreachable: 4,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

export type Exit = (typeof exits)[keyof typeof exits];

/** Something to tell the caller, and the exit code that goes with it. The message may have several lines and holds no secret. */
export class CliError extends Error {
  readonly exit: Exit;

  constructor(exit: Exit, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = "CliError";
    this.exit = exit;
  }
}

/** A mistake of the caller; nothing was sent. */
export function usageError(message: string, cause?: unknown): CliError {
  return new CliError(exits.usage, message, { cause });
}
