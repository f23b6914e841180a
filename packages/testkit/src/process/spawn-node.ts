import { type WatchedProcess, type WatchOptions, watchProcess } from "./watched-process.ts";

export interface NodeProcess extends WatchedProcess {
  /** The same as `line`: resolves with the line that says it is ready. */
  ready(pattern: RegExp): Promise<string>;
}

export interface SpawnNodeOptions extends Omit<WatchOptions, "env"> {
  readonly args?: readonly string[];
  /** Flags of Node itself. */
  readonly nodeArgs?: readonly string[];
}

/**
 * Starts a Node program with the given environment (and PATH, nothing else of this process's). A `.ts` entry runs from source through tsx,
 * with the packages' sources; anything else runs as it is.
 */
export function spawnNode(
  entry: string,
  env: Readonly<Record<string, string>> = {},
  options: SpawnNodeOptions = {},
): NodeProcess {
  const fromSource = entry.endsWith(".ts") ? ["--conditions=@longhaul/source", "--import", import.meta.resolve("tsx")] : [];
  const { args = [], nodeArgs = [], ...rest } = options;
  const child = watchProcess(process.execPath, [...fromSource, ...nodeArgs, entry, ...args], {
    ...rest,
    env: { PATH: process.env["PATH"], TMPDIR: process.env["TMPDIR"], ...env },
  });
  return { ...child, ready: child.line };
}
